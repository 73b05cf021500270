// Tables: sorted by pressing a heading; of long ones only the first rows, more on demand.

const ROWS = 100;

// columns: {title, sort(row), cell(row), number, first}; `first`: the order of the first press is descending.
function drawTable(place, columns, rows, state) {
  const ordered = sorted(rows, columns[state.column], state.descending);
  const shown = ordered.slice(0, state.rows ?? ROWS);
  const again = (change) => {
    const at = document.activeElement?.dataset?.column;
    drawTable(place, columns, rows, Object.assign(state, change));
    if (at !== undefined) place.querySelector(`button[data-column="${at}"]`)?.focus();
  };
  const table = h(
    "table",
    {},
    h("thead", {}, h("tr", {}, ...columns.map((column, n) => heading(column, n, state, again)))),
    h("tbody", {}, ...shown.map((row) => tableRow(columns, row))),
  );
  place.replaceChildren(table, ...moreButton(ordered.length - shown.length, () => again({ rows: shown.length + ROWS })));
}

function heading(column, n, state, again) {
  const own = state.column === n;
  const descending = own ? !state.descending : Boolean(column.first);
  return h(
    "th",
    { scope: "col", class: column.number && "number", "aria-sort": own ? (state.descending ? "descending" : "ascending") : null },
    h("button", { type: "button", "data-column": n, onclick: () => again({ column: n, descending }) }, column.title),
  );
}

function tableRow(columns, row) {
  const cells = columns.map((column, n) =>
    h(n ? "td" : "th", { class: [column.number && "number", column.wide && "wide"].filter(Boolean).join(" ") || null, scope: n ? null : "row" }, column.cell(row)),
  );
  return h("tr", { class: row.variant === SOURCE && "source" }, ...cells);
}

function sorted(rows, column, descending) {
  const keyed = rows.map((row, n) => ({ row, n, key: column.sort(row) }));
  const unknown = (key) => key === null || key === undefined || Number.isNaN(key);
  keyed.sort((a, b) => {
    if (unknown(a.key) || unknown(b.key)) return unknown(a.key) - unknown(b.key) || a.n - b.n; // always last
    const order = typeof a.key === "string" ? a.key.localeCompare(b.key, "en", { numeric: true }) : a.key - b.key;
    return (descending ? -order : order) || a.n - b.n;
  });
  return keyed.map(({ row }) => row);
}

function moreButton(left, more) {
  if (left <= 0) return [];
  return [h("button", { type: "button", class: "more", onclick: more }, `Show ${Math.min(left, ROWS)} more of ${left}`)];
}

const rateColumn = (title, name, digits, factor = 1, signed = false, first = false) => ({
  title,
  number: true,
  first,
  sort: ({ cell }) => cell?.[name]?.value,
  cell: ({ cell }) => withRange(cell?.[name], digits, factor, signed),
});

const variantColumn = { title: "variant", sort: ({ variant }) => data.variants[variant].name, cell: ({ variant }) => data.variants[variant].name };
const sizeColumn = { title: "size", number: true, sort: ({ variant }) => data.variants[variant].bytes, cell: ({ variant }) => megabytes(data.variants[variant].bytes) };

// A row for each variant, a column for each delay.
function drawSummary(place, variants, group, state) {
  const columns = [
    variantColumn,
    sizeColumn,
    ...data.delays.map((delay, n) => ({
      title: inMs(delay),
      number: true,
      sort: ({ variant }) => cellOf(variant, n, group)?.wer?.value,
      cell: ({ variant }) => withRange(cellOf(variant, n, group)?.wer, 1),
    })),
  ];
  drawTable(place, columns, variants.map((variant) => ({ variant })), state);
}

// A row for each variant and delay, over the chosen clips.
function drawFigures(place, variants, delays, group, state) {
  const columns = [
    variantColumn,
    sizeColumn,
    { title: "delay", number: true, sort: ({ delay }) => data.delays[delay], cell: ({ delay }) => inMs(data.delays[delay]) },
    rateColumn("WER %", "wer", 2),
    rateColumn("difference", "wer_increase", 2, 1, true),
    rateColumn("CER %", "cer", 2),
    rateColumn("same text %", "text_agreement", 1, 100, false, true),
    rateColumn("top-1 %", "top1_agreement", 2, 100, false, true),
    rateColumn("KL mean", "kl_mean", null),
    rateColumn("KL p99", "kl_p99", null),
  ];
  const rows = variants.flatMap((variant) => delays.map((delay) => ({ variant, delay, cell: cellOf(variant, delay, group) })));
  drawTable(place, columns, rows.filter(({ cell }) => cell), state);
}

// What was heard: the clip sets with their normalisers.
function drawSets(place) {
  const columns = [
    { title: "clip set", sort: ({ set }) => set.name, cell: ({ set }) => set.name },
    { title: "language", sort: ({ set }) => set.language, cell: ({ set }) => set.language },
    { title: "clips", number: true, sort: ({ set }) => set.clips, cell: ({ set }) => String(set.clips) },
    { title: "minutes", number: true, sort: ({ set }) => set.seconds, cell: ({ set }) => fixed(set.seconds / 60, 1) },
    { title: "normaliser", sort: ({ set }) => set.normaliser, cell: ({ set }) => `${set.normaliser}, by ${set.unit}` },
    { title: "", wide: true, sort: ({ set }) => set.summary, cell: ({ set }) => `${set.summary} Licence ${set.license}; ${set.attribution}` },
  ];
  drawTable(place, columns, data.sets.map((set) => ({ set })), { column: 0, descending: false });
}

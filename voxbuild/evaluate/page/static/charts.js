// Charts as SVG, drawn for the width that is there.

const TICKS = [1, 2, 2.5, 5, 10];

function niceSteps(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = TICKS.map((tick) => tick * power).find((each) => each >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const steps = [];
  for (let n = first; n * step <= high + step * 1e-6; n++) steps.push(Number((n * step).toPrecision(12)));
  return steps;
}

const scale = (from, to, start, end) => (value) =>
  to === from ? (start + end) / 2 : start + ((value - from) / (to - from)) * (end - start);

// Word error rate against delay, one small chart for each variant: its curve beside the source's.
function drawCurves(place, variants, group) {
  const rates = (variant) => data.delays.map((_, delay) => cellOf(variant, delay, group)?.wer);
  const top = sharedTop(variants.map(rates), rates(SOURCE));
  const shown = variants.length > 1 ? variants.filter((variant) => variant !== SOURCE) : variants;
  place.replaceChildren(...shown.map((variant) => curve(variant, rates(variant), rates(SOURCE), top)));
}

// The upper end of all axes: a variant that is far worse than the source must not flatten the others.
function sharedTop(all, theirs) {
  const highs = (rates) => rates.filter(known).map((rate) => rate.high ?? rate.value);
  const most = Math.max(1, ...all.flatMap(highs));
  return Math.min(most, Math.max(10, 1.7 * Math.max(0, ...highs(theirs)))) * 1.02;
}

function curve(variant, rates, theirs, top) {
  const [width, height, left, bottom] = [232, 150, 26, 20];
  const log = data.delays.map(Math.log2);
  const x = scale(log[0], log.at(-1), left + 8, width - 10);
  const y = scale(0, top, height - bottom, 8);
  const about = rates.map((rate, n) => `${inMs(data.delays[n])}: ${known(rate) ? inWords(rate, 1) : "not known"}`);
  const own = data.variants[variant];
  return h(
    "figure",
    {},
    h("figcaption", {}, own.name, " ", h("span", {}, megabytes(own.bytes))),
    s(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${own.name}, WER in per cent at ${about.join("; ")}` },
      ...niceSteps(0, top, 4).flatMap((tick) => [
        s("line", { class: "grid", x1: left, x2: width, y1: y(tick), y2: y(tick) }),
        s("text", { class: "axis", x: left - 5, y: y(tick) + 4, "text-anchor": "end" }, String(tick)),
      ]),
      ...delayLabels(log.map(x), height - 4),
      ...(variant === SOURCE ? [] : line(theirs, "theirs", log.map(x), y, top)),
      ...line(rates, variant === SOURCE ? "theirs" : "own", log.map(x), y, top),
    ),
  );
}

function delayLabels(places, y) {
  let last = -Infinity;
  return places.map((x, n) => {
    const isLast = n === places.length - 1;
    if (x - last < 30 || (!isLast && places.at(-1) - x < 30)) return null;
    last = x;
    return s("text", { class: "axis", x, y, "text-anchor": "middle" }, String(data.delays[n]));
  });
}

function line(rates, kind, xs, y, top) {
  const points = rates.map((rate, n) => ({ rate, x: xs[n] })).filter((point) => known(point.rate));
  const clipped = (value) => y(Math.min(value, top));
  const along = (key) => points.map(({ rate, x }) => `${x.toFixed(1)},${clipped(rate[key] ?? rate.value).toFixed(1)}`);
  const band = points.length > 1 && s("polygon", { class: `${kind} band`, points: [...along("high"), ...along("low").reverse()].join(" ") });
  const whisker = points.length === 1 && s("path", { class: `${kind} whisker`, d: `M${along("high")[0]}L${along("low")[0]}` });
  return [
    band || whisker || null,
    s("polyline", { class: `${kind} curve`, points: along("value").join(" ") }),
    ...points.flatMap(({ rate, x }, n) => {
      if (rate.value <= top) return [dot(kind, x, y(rate.value))];
      return beyond(kind, x, y(top), n && x - points[n - 1].x < 24 ? null : rate.value);
    }),
  ];
}

const dot = (kind, cx, cy, r = 2.6) => s("circle", { class: `${kind} dot`, cx, cy, r });

// A point above the axis: an arrow, with its value if there is room.
const beyond = (kind, x, y, value) => [
  s("path", { class: kind, d: `M${x - 4},${y + 7}L${x},${y}L${x + 4},${y + 7}Z` }),
  value === null ? null : s("text", { class: "axis", x, y: y + 19, "text-anchor": "middle" }, fixed(value, 0)),
];

// Paired differences to the source, a row for each variant.
function drawDifferences(place, variants, delay, group) {
  const rows = variants
    .filter((variant) => variant !== SOURCE)
    .map((variant) => ({ variant, figure: cellOf(variant, delay, group)?.wer_increase }))
    .filter(({ figure }) => known(figure))
    .sort((a, b) => a.figure.value - b.figure.value || a.variant - b.variant);
  if (!rows.length) return place.replaceChildren(h("p", { class: "note" }, "No variant is chosen."));
  const width = Math.max(320, Math.min(place.clientWidth || 800, 860));
  const names = Math.min(width * 0.3, 20 + 7 * Math.max(...rows.map(({ variant }) => data.variants[variant].name.length)));
  const numbers = width > 560 ? 150 : 0;
  const [low, high] = differenceRange(rows.map(({ figure }) => figure));
  const [height, step, top] = [rows.length * 24 + 34, 24, 8];
  const x = scale(low, high, names + 10, width - numbers - 14);
  const ticks = niceSteps(low, high, width > 560 ? 8 : 4);
  place.replaceChildren(
    s(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, style: `max-width: ${width}px`, role: "img", "aria-label": "Differences in points: the table below has the same figures" },
      ...ticks.flatMap((tick) => [
        s("line", { class: tick === 0 ? "zero" : "grid", x1: x(tick), x2: x(tick), y1: 0, y2: height - 24 }),
        s("text", { class: "axis", x: x(tick), y: height - 8, "text-anchor": "middle" }, (tick > 0 ? "+" : "") + fixed(tick, tick % 1 ? 1 : 0)),
      ]),
      ...rows.map(({ variant, figure }, n) => differenceRow(variant, figure, top + n * step + 8, { x, low, high, names, width, numbers })),
    ),
  );
}

// All values, and their intervals as far as they are not many times wider than most.
function differenceRange(figures) {
  const highs = figures.map((figure) => figure.high ?? figure.value).sort((a, b) => a - b);
  const usual = highs[Math.floor((highs.length - 1) * 0.9)];
  const low = Math.min(-0.5, ...figures.map((figure) => figure.low ?? figure.value));
  return [low, Math.min(highs.at(-1), Math.max(1, 1.2 * usual, -2 * low))];
}

function differenceRow(variant, figure, y, { x, low, high, names, width, numbers }) {
  const within = (value) => x(Math.max(low, Math.min(high, value)));
  const clear = figure.low > 0 || figure.high < 0;
  const words = `${data.variants[variant].name}: ${inWords(figure, 2)} points`;
  return s(
    "g",
    { class: clear ? "clear" : "unsure" },
    s("title", {}, words),
    s("text", { x: names, y: y + 4, "text-anchor": "end" }, data.variants[variant].name),
    s("line", { class: "own whisker", x1: within(figure.low ?? figure.value), x2: within(figure.high ?? figure.value), y1: y, y2: y }),
    (figure.high ?? figure.value) > high ? s("path", { class: "own", d: `M${x(high) - 7},${y - 4}L${x(high)},${y}L${x(high) - 7},${y + 4}Z` }) : null,
    figure.value > high ? null : dot("own", x(figure.value), y, 4),
    numbers ? s("text", { class: "axis", x: width, y: y + 4, "text-anchor": "end" }, rangeOf(figure)) : null,
  );
}

const rangeOf = (figure) =>
  `${figure.value > 0 ? "+" : ""}${fixed(figure.value, 2)} [${fixed(figure.low, 2)}, ${fixed(figure.high, 2)}]`;

// START HERE: filters choose clips, delay and variants; everything below them is drawn again.

const everything = data.variants.map((_, n) => n);
const chosen = new Set(everything);
const sorting = { summary: { column: 1, descending: true }, figures: { column: 1, descending: true } };
const byDefault = Math.max(0, data.delays.indexOf(data.default_delay));

function fillFilters() {
  $("group").append(...data.groups.map((group, n) => h("option", { value: n }, group.name)));
  const all = data.delays.length > 1 ? [h("option", { value: "" }, "every delay")] : [];
  $("delay").append(...all, ...data.delays.map((delay, n) => h("option", { value: n }, inMs(delay))));
  $("boxes").append(
    ...everything.map((n) =>
      h("label", {}, h("input", { type: "checkbox", value: n, checked: "" }), data.variants[n].name),
    ),
  );
}

const selection = () => ({
  group: Number($("group").value),
  variants: everything.filter((n) => chosen.has(n)),
  delays: $("delay").value === "" ? data.delays.map((_, n) => n) : [Number($("delay").value)],
});

function draw() {
  const { group, variants, delays } = selection();
  const delay = delays.length === 1 ? delays[0] : byDefault;
  const at = `At ${inMs(data.delays[delay])}`;
  const over = data.groups[group].words;
  $("chosen").textContent = chosen.size === everything.length ? "all" : `${chosen.size} of ${everything.length}`;
  $("summary-note").textContent =
    `In per cent, over ${over}, with 95 % intervals. Below: each variant (solid) beside the source (dashed, grey); bands are the intervals.`;
  $("difference-note").textContent =
    `${at}, over ${over}: WER of a variant less the source's, in points, with paired 95 % intervals. A filled point: the interval does not hold 0. Further right is worse.`;
  $("fidelity-note").textContent =
    `${at}, over ${over}: mean KL divergence from the source's next-token distribution against the size of the weights. Lower and further left is better; the dotted line joins the variants that no smaller one beats.`;
  drawSummary($("summary"), variants, group, sorting.summary);
  drawCurves($("curves"), variants, group);
  drawDifferences($("difference"), variants, delay, group);
  drawFidelity($("fidelity"), variants, delay, group);
  drawFigures($("figures"), variants, delays, group, sorting.figures);
  drawFoundClips();
}

function drawFoundClips() {
  const { group, variants, delays } = selection();
  const sets = new Set(data.groups[group].sets);
  drawClips($("clips"), $("clips-found"), {
    clips: data.clips.filter((clip) => sets.has(clip.set)),
    variants,
    delays,
    search: $("search").value,
    order: $("order").value,
    shown: CLIPS,
  });
}

function choose(numbers) {
  chosen.clear();
  numbers.forEach((n) => chosen.add(n));
  for (const box of $("boxes").querySelectorAll("input")) box.checked = chosen.has(Number(box.value));
  draw();
}

function listen() {
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["group", "delay"]) $(id).addEventListener("change", draw);
  $("order").addEventListener("change", drawFoundClips);
  $("search").addEventListener("input", drawFoundClips);
  $("boxes").addEventListener("change", () =>
    choose([...$("boxes").querySelectorAll("input:checked")].map((box) => Number(box.value))),
  );
  $("choose-all").addEventListener("click", () => choose(everything));
  $("choose-none").addEventListener("click", () => choose([SOURCE]));
  document.addEventListener("click", (event) => {
    if (!$("variants").contains(event.target)) $("variants").open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !$("variants").open) return;
    $("variants").open = false;
    $("variants").querySelector("summary").focus();
  });
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) draw();
    width = innerWidth;
  });
}

data.clips.forEach((clip, n) => (clip.place = n));
fillFilters();
listen();
drawSets($("how"));
draw();

// KL divergence against size: one point for each variant, and the line of those that no other beats in both.

const LEAST = 1e-7; // nats; a variant that computes exactly what the source does is drawn here

function drawFidelity(place, variants, delay, group) {
  const points = variants
    .filter((variant) => variant !== SOURCE)
    .map((variant) => ({ name: data.variants[variant].name, size: data.variants[variant].bytes, figure: cellOf(variant, delay, group)?.kl_mean }))
    .filter(({ figure }) => known(figure));
  if (!points.length) return place.replaceChildren(h("p", { class: "note" }, "No variant is chosen."));
  const width = Math.max(320, Math.min(place.clientWidth || 800, 860));
  const [height, left, bottom] = [Math.min(420, width * 0.75), 62, 40];
  const log = (figure, key = "value") => Math.log10(Math.max(LEAST, figure[key] ?? figure.value));
  const ends = points.flatMap(({ figure }) => [log(figure, "low"), log(figure), log(figure, "high")]);
  const floor = Math.max(Math.min(...ends), Math.min(...points.map(({ figure }) => log(figure))) - 1);
  const [low, high] = [Math.floor(floor * 2) / 2, Math.ceil(Math.max(...ends) * 2) / 2];
  const sizes = points.map(({ size }) => size / 1e6);
  const [least, most] = [Math.min(...sizes) * 0.94, Math.max(...sizes) * 1.06];
  const along = scale(Math.log(least), Math.log(most), left + 8, width - 12);
  const x = (size) => along(Math.log(size));
  const y = scale(low, high, height - bottom, 10);
  const placed = points.map((point) => ({ ...point, x: x(point.size / 1e6), y: y(log(point.figure)) }));
  const decades = niceSteps(Math.ceil(low), high, 8).filter(Number.isInteger);
  const marks = placed.flatMap((point) => [
    s(
      "g",
      { class: "clear" },
      s("title", {}, `${point.name}: ${megabytes(point.size)}, KL ${precise(point.figure.value)} nats`),
      s("line", { class: "own whisker", x1: point.x, x2: point.x, y1: y(Math.max(low, log(point.figure, "low"))), y2: y(log(point.figure, "high")), opacity: 0.6 }),
      dot("own", point.x, point.y, 4),
    ),
  ]);
  place.replaceChildren(
    s(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, style: `max-width: ${width}px`, role: "img", "aria-label": "KL divergence against size: the table below has the same figures" },
      ...decades.flatMap((tick) => [
        s("line", { class: "grid", x1: left, x2: width, y1: y(tick), y2: y(tick) }),
        s("text", { class: "axis", x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, tick <= Math.log10(LEAST) ? "0" : String(Number(`1e${tick}`))),
      ]),
      ...sizeTicks(least, most).flatMap((tick) => [
        s("text", { class: "axis", x: x(tick), y: height - 20, "text-anchor": "middle" }, String(tick)),
        s("line", { class: "zero", x1: x(tick), x2: x(tick), y1: height - bottom, y2: height - bottom + 4 }),
      ]),
      s("text", { class: "axis", x: width, y: height - 4, "text-anchor": "end" }, "MB of weights"),
      s("text", { class: "axis", x: 0, y: 8 }, "nats"),
      s("polyline", { class: "front", points: front(placed) }),
      ...marks,
      ...labels(placed, width),
    ),
  );
}

const sizeTicks = (least, most) =>
  [1, 2, 3, 4, 6, 8].flatMap((digit) => [-1, 0, 1, 2, 3, 4].map((power) => Number(`${digit}e${power}`))).filter((tick) => tick >= least && tick <= most);

// The points that no smaller one beats, from the smallest on.
function front(placed) {
  let best = Infinity;
  const kept = [...placed].sort((a, b) => a.size - b.size || a.figure.value - b.figure.value).filter(({ figure }) => {
    const better = figure.value < best;
    best = Math.min(best, figure.value);
    return better;
  });
  return kept.map((point) => `${point.x.toFixed(1)},${point.y.toFixed(1)}`).join(" ");
}

// A name beside each point, where it covers neither a point nor another name; else the point has only its title.
function labels(placed, width) {
  const taken = placed.map(({ x, y }) => ({ left: x - 5, right: x + 5, top: y - 5, bottom: y + 5 }));
  return placed.map(({ name, x, y }) => {
    const long = 6.6 * name.length;
    const choices = [
      [x + 8, y + 4, "start"],
      [x - 8, y + 4, "end"],
      [x, y - 9, "middle"],
      [x, y + 17, "middle"],
      [x + 7, y - 7, "start"],
      [x + 7, y + 15, "start"],
      [x - 7, y - 7, "end"],
      [x - 7, y + 15, "end"],
    ];
    for (const [at, base, anchor] of choices) {
      const from = anchor === "start" ? at : anchor === "end" ? at - long : at - long / 2;
      const box = { left: from, right: from + long, top: base - 10, bottom: base + 2 };
      const free = taken.every((other) => box.right < other.left || box.left > other.right || box.bottom < other.top || box.top > other.bottom);
      if (free && box.left > 62 && box.right < width) {
        taken.push(box);
        return s("text", { x: at, y: base, "text-anchor": anchor }, name);
      }
    }
    return null;
  });
}

// The clips: one line each, and what every variant wrote when a line is opened.

const CLIPS = 50;
const TEXTS = 12; // of a clip that is opened; more on demand

// Which text a variant wrote at a delay: a place in clip.texts.
const textOf = (clip, variant, delay) => clip.heard[variant]?.[delay];

function countsOf(clip, variants, delays) {
  const used = new Set();
  let errors = 0;
  let worse = 0;
  let heard = 0;
  for (const variant of variants) {
    for (const delay of delays) {
      const text = textOf(clip, variant, delay);
      if (text === undefined || text === null) continue;
      used.add(text);
      heard++;
      errors += clip.texts[text].errors;
      const theirs = clip.texts[textOf(clip, SOURCE, delay)]?.errors ?? 0;
      worse = Math.max(worse, clip.texts[text].errors - theirs);
    }
  }
  return { clip, texts: used.size, errors: heard ? errors / heard : 0, worse };
}

const ORDERS = {
  worse: (a, b) => b.worse - a.worse || b.errors - a.errors,
  errors: (a, b) => b.errors - a.errors,
  texts: (a, b) => b.texts - a.texts,
  name: () => 0,
};

function drawClips(place, found, { clips, variants, delays, search, order, shown }) {
  const wanted = search.trim().toLowerCase();
  const holds = (clip) =>
    !wanted || [clip.name, clip.reference, ...clip.texts.map(({ text }) => text)].some((text) => text.toLowerCase().includes(wanted));
  const rows = clips.filter(holds).map((clip) => countsOf(clip, variants, delays));
  rows.sort((a, b) => ORDERS[order](a, b) || a.clip.place - b.clip.place);
  found.textContent = rows.length === 1 ? "1 clip" : `${rows.length} clips`;
  const first = rows.slice(0, shown);
  place.replaceChildren(...first.map((row) => clipLine(row, variants, delays)));
  const more = () => {
    drawClips(place, found, { clips, variants, delays, search, order, shown: shown + CLIPS });
    place.querySelectorAll(".clip > summary")[shown]?.focus();
  };
  const left = rows.length - first.length;
  if (left > 0) {
    place.append(h("button", { type: "button", class: "more", onclick: more }, `Show ${Math.min(left, CLIPS)} more of ${left}`));
  }
}

function clipLine({ clip, texts, errors, worse }, variants, delays) {
  const unit = data.sets[clip.set].unit;
  const words = [
    `${fixed(errors, 1)} errors on average in ${unitsOf(clip.normalised, unit).length} ${unit}s`,
    worse > 0 ? `up to ${worse} more than the source` : null,
    `${texts} ${texts === 1 ? "text" : "texts"}`,
  ];
  const opened = h("div", { class: "opened" });
  const line = h(
    "details",
    { class: "clip" },
    h("summary", {}, h("b", {}, clip.name), h("span", { class: "counts" }, words.filter(Boolean).join(" \u00b7 ")), h("span", { class: "said", lang: data.sets[clip.set].language }, clip.reference)),
    opened,
  );
  line.addEventListener("toggle", () => {
    if (line.open && !opened.hasChildNodes()) opened.append(...clipInFull(clip, variants, delays));
  });
  return line;
}

function clipInFull(clip, variants, delays) {
  const { unit, language } = data.sets[clip.set];
  const player = clip.audio
    ? h("audio", { controls: "", preload: "none", src: clip.audio, "aria-label": `Recording of ${clip.name}` })
    : h("p", { class: "note" }, "The recording is not within this project; --embed-audio puts it into the page.");
  const texts = h("div", {});
  const written = writers(clip, variants, delays).map(({ text, who }) => () => {
    const { normalised, text: raw, errors } = clip.texts[text];
    const count = errors === 1 ? "1 error" : errors ? `${errors} errors` : "no error";
    return textRow([...who, h("span", {}, ` \u2013 ${count}`)], difference(clip.normalised, normalised, unit), raw, normalised, language);
  });
  showTexts(texts, written, TEXTS);
  return [player, textRow(h("b", {}, "what was said"), [clip.normalised], clip.reference, clip.normalised, language), texts];
}

function showTexts(place, written, shown) {
  const left = written.length - shown;
  place.replaceChildren(...written.slice(0, shown).map((draw) => draw()));
  if (left <= 0) return;
  place.append(h("button", { type: "button", class: "more", onclick: () => showTexts(place, written, written.length) }, left === 1 ? "Show 1 more text" : `Show ${left} more texts`));
}

// The texts of a clip in the order of the variants, the source's first, each with all who wrote it.
function writers(clip, variants, delays) {
  const by = new Map();
  for (const variant of [SOURCE, ...variants.filter((each) => each !== SOURCE)]) {
    for (const delay of delays) {
      const text = textOf(clip, variant, delay);
      if (text === undefined || text === null) continue;
      if (!by.has(text)) by.set(text, new Map());
      const of = by.get(text);
      of.set(variant, [...(of.get(variant) ?? []), delay]);
    }
  }
  return [...by].map(([text, of]) => ({ text, who: whoWrote(of, delays) }));
}

// "4bit, 5bit at 80, 160 ms": variants with the same delays together; "at every delay" is not said.
function whoWrote(of, delays) {
  const groups = new Map();
  for (const [variant, there] of of) {
    const at = there.length === delays.length ? "" : ` at ${there.map((delay) => data.delays[delay]).join(", ")} ms`;
    groups.set(at, [...(groups.get(at) ?? []), data.variants[variant].name]);
  }
  return [...groups].flatMap(([at, names], n) => [n ? "; " : "", h("b", {}, names.join(", ")), h("span", {}, at)]);
}

function textRow(who, words, raw, normalised, language) {
  return h(
    "div",
    { class: "text" },
    h("div", { class: "who" }, ...[who].flat()),
    h("div", { class: "words", lang: language }, ...words, raw.trim() !== normalised && raw.trim() ? h("span", { class: "raw" }, raw) : null),
  );
}

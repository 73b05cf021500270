// Elements, numbers in words, and what the data say. Every text is set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";
const data = JSON.parse(document.getElementById("data").textContent);
const SOURCE = 0; // the unquantized source is the first of data.variants

const $ = (id) => document.getElementById(id);

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const h = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);
const s = (tag, attributes = {}, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

function fixed(number, digits) {
  return number.toFixed(digits).replace(/^-(?=0(\.0*)?$)/, "").replace("-", "\u2212");
}

// A figure: {value, low, high}, times a factor, with that many digits.
const inWords = (figure, digits, factor = 1) =>
  known(figure)
    ? `${fixed(figure.value * factor, digits)} (${fixed(figure.low * factor, digits)} to ${fixed(figure.high * factor, digits)})`
    : "not known";

// A number that may be tiny: 0.0985, 3.4e-5.
function precise(number) {
  if (!number) return "0";
  return Math.abs(number) >= 0.001 ? number.toPrecision(3) : number.toExponential(1).replace("e-", "e\u2212");
}

const known = (figure) => Boolean(figure) && figure.value !== null && figure.value !== undefined;

// `digits`: after the point, or null for a number that may be tiny.
function withRange(figure, digits, factor = 1, signed = false) {
  if (!known(figure)) return h("span", { class: "range" }, "\u2013");
  const write = (number) => (digits === null ? precise(number * factor) : fixed(number * factor, digits));
  const sign = signed && Number((figure.value * factor).toFixed(digits)) > 0 ? "+" : "";
  const bounds = `[${write(figure.low)}, ${write(figure.high)}]`;
  return h("span", {}, sign + write(figure.value), " ", h("span", { class: "range" }, bounds));
}

const megabytes = (bytes) =>
  bytes >= 1e9 ? `${fixed(bytes / 1e9, 2)} GB` : `${fixed(bytes / 1e6, 2)} MB`;

const inMs = (delay) => `${delay} ms`;

// Cells by "variant/delay/group", all of them numbers: places in data.variants, data.delays and data.groups.
const cells = new Map(data.cells.map((cell) => [`${cell.variant}/${cell.delay}/${cell.group}`, cell]));
const cellOf = (variant, delay, group) => cells.get(`${variant}/${delay}/${group}`);

// Texts with their differences marked, aligned word by word, or character by character.

const unitsOf = (text, unit) => (unit === "character" ? [...text].filter((each) => each.trim()) : text.split(" ").filter(Boolean));

// The steps of a cheapest alignment: ["same" | "swap" | "less" | "more", said, heard].
function aligned(said, heard) {
  const [rows, columns] = [said.length + 1, heard.length + 1];
  const cost = new Uint32Array(rows * columns);
  for (let i = 0; i < rows; i++) cost[i * columns] = i;
  for (let j = 0; j < columns; j++) cost[j] = j;
  for (let i = 1; i < rows; i++) {
    for (let j = 1; j < columns; j++) {
      const swap = cost[(i - 1) * columns + j - 1] + (said[i - 1] === heard[j - 1] ? 0 : 1);
      cost[i * columns + j] = Math.min(swap, cost[(i - 1) * columns + j] + 1, cost[i * columns + j - 1] + 1);
    }
  }
  const steps = [];
  let [i, j] = [said.length, heard.length];
  while (i || j) {
    const here = cost[i * columns + j];
    const same = i && j && said[i - 1] === heard[j - 1];
    if (same && here === cost[(i - 1) * columns + j - 1]) steps.push(["same", said[--i], heard[--j]]);
    else if (i && j && here === cost[(i - 1) * columns + j - 1] + 1) steps.push(["swap", said[--i], heard[--j]]);
    else if (i && here === cost[(i - 1) * columns + j] + 1) steps.push(["less", said[--i], ""]);
    else steps.push(["more", "", heard[--j]]);
  }
  return steps.reverse();
}

const aside = (words) => h("span", { class: "unseen" }, words);

function marked([kind, said, heard]) {
  if (kind === "same") return said;
  if (kind === "less") return h("del", {}, aside("left out: "), said);
  if (kind === "more") return h("ins", {}, aside("added: "), heard);
  return h("span", { class: "swap" }, h("del", {}, aside("said: "), said), h("ins", {}, aside("heard: "), heard));
}

function difference(said, heard, unit) {
  const space = unit === "character" ? "" : " ";
  const parts = aligned(unitsOf(said, unit), unitsOf(heard, unit)).flatMap((step) => [marked(step), space]);
  return parts.length ? parts : [h("span", { class: "range" }, "nothing")];
}

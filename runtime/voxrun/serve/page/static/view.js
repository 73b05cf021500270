// The transcript on the page: a block for each section, a paragraph after each pause, the draft at the end.

const AT_END = 160; // pixels from the end of the page within which it follows new text
const SPOKEN = 80; // characters after which text is announced, if no sentence ends before
const QUIET = 2000; // ms after which the rest is

export class View {
  constructor(element, hint, announced) {
    this.element = element;
    this.hint = hint;
    this.announcer = new Announcer(announced);
  }

  // Show a section as it is now; `added` is its new text, which screen readers are told.
  update(section, added = "") {
    keepingEnd(() => this.draw(section));
    this.announcer.add(added);
  }

  draw(section) {
    const block = (section.block ??= this.block(section));
    const first = Math.max(0, Math.min(block.settled, section.paragraphs.length) - 1);
    const paragraphs = section.shown(first);
    paragraphs.forEach((paragraph, number) => this.paragraph(block, first + number, paragraph));
    block.paragraphs.splice(first + paragraphs.length).forEach(({ element }) => element.remove());
    block.settled = section.paragraphs.length;
    block.draft.textContent = section.draft;
    block.paragraphs.at(-1).element.append(block.draft);
    this.hint.hidden = true;
  }

  block(section) {
    const element = made("article");
    if (section.name) element.append(made("h2", "", section.name));
    this.element.append(element);
    return { element, paragraphs: [], settled: 0, draft: made("span", "draft") };
  }

  paragraph(block, number, { start, text }) {
    let known = block.paragraphs[number];
    if (!known) {
      known = { element: made("p"), time: made("time"), final: made("span", "final") };
      known.element.dir = "auto";
      known.element.append(known.time, known.final);
      block.paragraphs.push(known);
      block.element.append(known.element);
    }
    known.time.textContent = start === null ? "" : clock(start);
    known.final.textContent = text.trimStart();
  }

  // Show exactly these sections.
  show(sections) {
    this.element.querySelectorAll("article").forEach((element) => element.remove());
    for (const section of sections) {
      delete section.block;
      this.update(section);
    }
    this.hint.hidden = sections.length > 0;
  }

  remove(section) {
    section.block?.element.remove();
    this.hint.hidden = Boolean(this.element.querySelector("article"));
  }
}

// Tells screen readers final text by sentences, not by syllables.
class Announcer {
  constructor(element) {
    this.element = element;
    this.text = "";
  }

  add(text) {
    this.text += text;
    clearTimeout(this.timer);
    if (/[.!?…。！？]\s*$/.test(this.text) || this.text.length > SPOKEN) this.tell();
    else if (this.text.trim()) this.timer = setTimeout(() => this.tell(), QUIET);
  }

  tell() {
    this.element.replaceChildren(made("p", "", this.text.trim()));
    this.text = "";
  }
}

// Change what is shown; whoever looked at the end of the text still does.
export function keepingEnd(change) {
  const page = document.documentElement;
  const follows = innerHeight + scrollY >= page.scrollHeight - AT_END;
  change();
  if (follows) scrollTo({ top: page.scrollHeight });
}

export function clock(seconds) {
  const whole = Math.floor(seconds);
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

export function made(name, className = "", text = "") {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

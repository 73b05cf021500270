// What was heard, as data: sections (a recording or a file each) of text, words with times, and paragraphs.

const PAUSE = 1.2; // seconds of silence between two words that begin a new paragraph
const SILENCE = 2; // seconds without new text, live, after which text probably is of a new paragraph
const LONGEST_WORD = 0.8; // seconds

const LETTER = 0.06; // seconds that it takes to say a letter of an alphabet
const SIGN = 0.18; // and a digit, or a sign that stands for a syllable
const LONGEST_NEEDED = 1.5; // seconds

// Seconds between two words. The model does not mark where a word starts: it is the time between the ends without that
// which the letters of the second word need, as in voxrun/transcripts/typesetting/segments.py.
export function silence(before, { word, end }) {
  const letters = word.match(/[\p{L}\p{N}]/gu) ?? [];
  const needed = letters.reduce((sum, letter) => sum + (/\p{N}|[\u2e80-\u{10ffff}]/u.test(letter) ? SIGN : LETTER), 0);
  return end - before.end - Math.min(needed, LONGEST_NEEDED);
}

export class Section {
  constructor(name, offset) {
    this.name = name; // of a file; "" for the microphone
    this.offset = offset; // seconds of the sections before; all times below include it
    this.seconds = 0;
    this.text = "";
    this.draft = ""; // what may still change, after `text`
    this.words = []; // {word, start, end, at}; `at` is where it begins in the text
    this.paragraphs = [{ at: 0, start: offset }];
    this.cursor = 0; // in the text, behind the last word
    this.guess = null; // where a paragraph probably begins, until the times of its first word are known
    this.changed = Infinity; // when text last came, in seconds
  }

  add(text, words) {
    if (text) this.arrived();
    this.text += text;
    for (const word of words) this.addWord(word);
  }

  setDraft(draft) {
    if (draft) this.arrived();
    this.draft = draft;
  }

  arrived() {
    const now = performance.now() / 1000;
    const whole = this.cursor === this.text.trimEnd().length; // all its words are known
    if (!this.name && whole && this.guess === null && now - this.changed >= SILENCE) this.guess = this.text.length;
    this.changed = now;
  }

  addWord({ word, start, end }) {
    const at = Math.max(this.cursor, this.text.indexOf(word, this.cursor));
    this.cursor = at + word.length;
    const before = this.words.at(-1);
    const timed = { word, start: start + this.offset, end: end + this.offset, at };
    if (!before) this.paragraphs[0].start = timed.start;
    else if (silence(before, timed) >= PAUSE) this.paragraphs.push({ at, start: timed.start });
    this.words.push(timed);
    this.guess = null;
    this.seconds = Math.max(this.seconds, end);
  }

  // Nothing more comes. After an error, the last word may have no times: it ended by now.
  close() {
    const rest = this.text.slice(this.cursor).trim();
    if (!rest) return;
    const last = (this.words.at(-1)?.end ?? this.offset) - this.offset;
    const end = Math.max(last, this.seconds);
    this.addWord({ word: rest, start: Math.max(last, end - LONGEST_WORD), end });
  }

  paragraph(number) {
    return this.text.slice(this.paragraphs[number].at, this.paragraphs[number + 1]?.at).trim();
  }

  // Paragraphs as they are shown, from number `first` on: {start, text}; start is null if it is not known yet.
  shown(first) {
    const last = this.guess === null ? [] : [{ at: this.guess, start: null }];
    const marks = [...this.paragraphs.slice(first), ...last];
    return marks.map(({ at, start }, number) => ({ start, text: this.text.slice(at, marks[number + 1]?.at) }));
  }

  // The words of the text from word number `first` to before `last`, with the spaces between them.
  span(first, last) {
    return this.text.slice(this.words[first].at, this.words[last]?.at).trim();
  }
}

export class Transcript {
  sections = [];

  get empty() {
    return this.sections.every((section) => !section.text.trim());
  }

  get seconds() {
    return this.sections.reduce((sum, section) => sum + section.seconds, 0);
  }

  begin(name = "") {
    this.sections = this.sections.filter((section) => section.text.trim());
    const section = new Section(name, this.seconds);
    this.sections.push(section);
    return section;
  }
}

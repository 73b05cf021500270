// A transcript as the text of a file: txt, srt, vtt, json.

import { silence } from "./transcript.js";

const LONGEST_CUE = 84; // characters: two lines of 42
const LINE = 42;
const LONGEST_TIME = 7; // seconds
const PAUSE = 1; // seconds of silence between two words that end a cue
const SENTENCE = /[.!?…。！？]["'”’)\]]*$/;

export const FORMATS = { txt, srt, vtt, json };
export const TYPES = { txt: "text/plain", srt: "application/x-subrip", vtt: "text/vtt", json: "application/json" };

export function txt(transcript) {
  const paragraphs = transcript.sections.flatMap((section) =>
    section.paragraphs.map((_, number) => section.paragraph(number)).filter(Boolean),
  );
  return paragraphs.join("\n\n") + "\n";
}

export function srt(transcript) {
  return cues(transcript)
    .map(({ start, end, text }, number) => `${number + 1}\n${clock(start, ",")} --> ${clock(end, ",")}\n${text}\n`)
    .join("\n");
}

export function vtt(transcript) {
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const blocks = cues(transcript).map(
    ({ start, end, text }) => `${clock(start, ".")} --> ${clock(end, ".")}\n${escaped(text)}\n`,
  );
  return ["WEBVTT\n", ...blocks].join("\n");
}

export function json(transcript) {
  const timed = ({ word, start, end }) => ({ word, start: rounded(start), end: rounded(end) });
  const document = {
    text: txt(transcript).trim(),
    duration: rounded(transcript.seconds),
    segments: cues(transcript).map(({ start, end, text }, id) => ({
      id,
      start: rounded(start),
      end: rounded(end),
      text: text.replaceAll("\n", " "),
    })),
    words: transcript.sections.flatMap((section) => section.words.map(timed)),
  };
  return JSON.stringify(document, null, 2) + "\n";
}

// Subtitles: a cue ends at the end of a sentence, at a pause, and where it would be too long.
function cues(transcript) {
  return transcript.sections.flatMap((section) => {
    const made = [];
    let first = 0;
    section.words.forEach((word, number) => {
      const next = section.words[number + 1];
      const ends =
        !next ||
        SENTENCE.test(section.span(first, number + 1)) ||
        silence(word, next) > PAUSE ||
        next.end - section.words[first].start > LONGEST_TIME ||
        section.span(first, number + 2).length > LONGEST_CUE;
      if (!ends) return;
      const text = folded(section.span(first, number + 1));
      // A word of no length, as a model may mark at the very beginning, is shown for a moment all the same.
      const start = section.words[first].start;
      made.push({ start, end: Math.max(word.end, start + 0.08), text });
      first = number + 1;
    });
    return made;
  });
}

// In two lines, broken at the space nearest to the middle.
function folded(text) {
  const line = text.replace(/\s+/g, " ");
  if (line.length <= LINE) return line;
  const spaces = [...line.matchAll(/ /g)].map((match) => match.index);
  if (!spaces.length) return line;
  const middle = line.length / 2;
  const best = spaces.reduce((a, b) => (Math.abs(b - middle) < Math.abs(a - middle) ? b : a));
  return `${line.slice(0, best)}\n${line.slice(best + 1)}`;
}

function clock(seconds, point) {
  const ms = Math.round(seconds * 1000);
  const two = (value) => String(Math.floor(value)).padStart(2, "0");
  const rest = String(ms % 1000).padStart(3, "0");
  return `${two(ms / 3600000)}:${two((ms / 60000) % 60)}:${two((ms / 1000) % 60)}${point}${rest}`;
}

function rounded(seconds) {
  return Math.round(seconds * 1000) / 1000;
}

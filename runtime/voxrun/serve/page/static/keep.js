// A transcript out of the page: to the clipboard, and into files.

import { FORMATS, TYPES, txt } from "./formats.js";

// Whether the browser lets the page copy.
export async function copy(transcript) {
  const text = txt(transcript);
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyOldWay(text); // pages that are not secure have no clipboard
  }
}

function copyOldWay(text) {
  const area = document.createElement("textarea");
  const focused = document.activeElement;
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return copied;
}

export function save(transcript, format) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([FORMATS[format](transcript)], { type: TYPES[format] }));
  link.download = `${title(transcript)}.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// That of the first file, or the time.
function title({ sections }) {
  const file = sections.find((section) => section.name);
  if (file) return file.name.replace(/\.[^.]*$/, "");
  return `transcript ${new Date().toLocaleString("sv").replace(/:/g, ".")}`; // Swedes write 2026-11-26 18:30:00
}

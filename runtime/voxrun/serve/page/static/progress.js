// How far a file is: first how much is sent, then how much is heard.

import { clock } from "./view.js";

export class Progress {
  // `shown`: a progress bar, an element for its text, and phase(words).
  constructor(file, shown) {
    this.shown = shown;
    this.name = file.name;
    duration(file).then((seconds) => (this.seconds = seconds));
    this.sent(0);
  }

  sent(part) {
    this.shown.phase(part < 1 ? `Sending ${this.name}` : `Transcribing ${this.name}`);
    this.shown.text.textContent = part < 1 ? `${Math.round(part * 100)} %` : "";
    this.show(part < 1 ? part : NaN);
  }

  heard(seconds) {
    this.shown.text.textContent = clock(seconds) + (this.seconds ? ` of ${clock(this.seconds)}` : "");
    this.show(seconds / this.seconds);
  }

  // A part that is not known shows as a bar that only moves.
  show(part) {
    if (Number.isFinite(part)) this.shown.bar.value = Math.min(1, part);
    else this.shown.bar.removeAttribute("value");
  }
}

// Seconds of a file, NaN if the browser does not know the format: for progress only.
function duration(file) {
  return new Promise((resolve) => {
    const media = new Audio();
    media.preload = "metadata";
    media.onloadedmetadata = media.onerror = () => {
      URL.revokeObjectURL(media.src);
      resolve(media.duration);
    };
    media.src = URL.createObjectURL(file);
  });
}

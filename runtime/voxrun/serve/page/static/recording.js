// A recording from its start to its end: the microphone's samples to a session, the session's words to the page.

import { Microphone, level } from "./microphone.js";
import { Session } from "./realtime.js";
import { ENDED, Problem, UNPLUGGED } from "./problems.js";

const BEHIND = 5; // seconds of audio that wait to be sent, from which on the user is told

export class Recording {
  // `told`: state(name, detail), level(0 to 1), seconds(n), text(text, words), draft(text), and at the end
  // over(problem or null).
  constructor(told) {
    this.told = told;
    this.finished = false;
    this.seconds = 0;
    this.late = false; // whether audio waits to be sent
  }

  async start({ device, delay, draft }) {
    this.told.state("starting", "Starting…");
    try {
      this.microphone = await Microphone.open(device);
      if (this.finished) return this.microphone.close(); // stopped while the browser asked
      this.session = this.open({ rate: this.microphone.rate, delay, draft });
      await this.microphone.start((samples) => this.hear(samples), () => this.unplug());
    } catch (problem) {
      this.over(problem);
    }
    if (this.finished || this.ends) return;
    this.told.state("hearing", "Listening");
    this.keepAwake();
  }

  open(options) {
    return new Session(options, {
      text: (text, words) => this.told.text(text, words),
      draft: (text) => this.told.draft(text),
      done: () => this.over(this.why()),
      failed: (problem) => this.over(problem),
    });
  }

  // Why the session has ended, if the user did not end it.
  why() {
    if (this.unplugged) return new Problem(UNPLUGGED);
    return this.ends ? null : new Problem(ENDED, "reconnect");
  }

  // A phone that turns off its screen stops the microphone, too.
  async keepAwake() {
    try {
      this.awake = await navigator.wakeLock?.request("screen");
    } catch {
      // The battery is low, or the page is not seen: then the screen goes off as it always does.
    }
    if (this.finished) this.awake?.release();
  }

  hear(samples) {
    this.session.hear(samples);
    this.seconds += samples.length / this.microphone.rate;
    this.told.seconds(this.seconds);
    this.told.level(level(samples));
    const late = this.session.behind > (this.late ? 1 : BEHIND);
    if (late !== this.late) this.told.state("hearing", late ? "Listening; the server is slower than you" : "Listening");
    this.late = late;
  }

  unplug() {
    this.unplugged = true;
    this.stop();
  }

  // The rest of the words still comes; a second call does not wait for it.
  async stop() {
    if (!this.session || this.ends) {
      this.over(null);
      return;
    }
    this.ends = true;
    this.told.state("ending", "Finishing…");
    await this.microphone.stop();
    this.session.end();
  }

  over(problem) {
    if (this.finished) return;
    this.finished = true;
    this.microphone?.close();
    this.session?.close();
    this.awake?.release();
    this.told.draft("");
    this.told.over(problem);
  }
}

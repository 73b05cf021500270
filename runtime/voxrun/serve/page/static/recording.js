// A recording from its start to its end: the microphone's samples to a session, the session's words to the page.

import { Microphone, level } from "./microphone.js";
import { Session } from "./realtime.js";
import { Problem, UNPLUGGED } from "./problems.js";

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
    } catch (problem) {
      this.over(problem);
      return;
    }
    if (this.finished) return this.microphone.close(); // stopped while the browser asked
    const { rate } = this.microphone;
    this.session = new Session({ rate, delay, draft }, {
      text: (text, words) => this.told.text(text, words),
      draft: (text) => this.told.draft(text),
      done: () => this.over(this.unplugged ? new Problem(UNPLUGGED) : null),
      failed: (problem) => this.over(problem),
    });
    await this.microphone.start((samples) => this.hear(samples), () => this.unplug());
    if (this.finished) return;
    this.told.state("hearing", "Listening");
    this.keepAwake();
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

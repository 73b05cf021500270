// A file: sent whole, its words come while the server still hears it.

import { address, authorization, ofStatus } from "./server.js";
import { GONE, Problem, refused } from "./problems.js";

export class Upload {
  // `delay` in ms, or null for the server's. `told`: sent(part) with 0 to 1, text(text, words), and at the end
  // either done(transcript), as the server's verbose_json has it, or failed(problem).
  constructor(file, delay, told) {
    this.told = told;
    this.read = 0; // characters of the answer
    this.finished = false;
    const form = new FormData();
    form.append("model", "voxrun");
    form.append("stream", "true");
    form.append("response_format", "verbose_json"); // with the length, and with warnings
    form.append("timestamp_granularities[]", "word");
    if (delay) form.append("delay_ms", delay);
    form.append("file", file, file.name);
    // fetch cannot tell how much of a request was sent.
    const request = (this.request = new XMLHttpRequest());
    request.upload.onprogress = ({ loaded, total }) => told.sent(total ? loaded / total : 1);
    request.upload.onload = () => told.sent(1);
    request.onprogress = () => this.take();
    request.onload = () => this.end();
    request.onerror = () => this.broken(file);
    request.open("POST", address("v1/audio/transcriptions"));
    Object.entries(authorization()).forEach(([name, value]) => request.setRequestHeader(name, value));
    request.send(form);
  }

  cancel() {
    this.finished = true;
    this.request.abort();
  }

  end() {
    if (this.request.status !== 200) {
      this.over(() => this.told.failed(ofStatus(this.request.status, this.request.responseText)));
      return;
    }
    this.take();
    this.over(() => this.told.failed(new Problem(GONE, "reconnect"))); // unless the last event came
  }

  // The connection is lost, or the file cannot be read (a folder, or one that changed).
  async broken(file) {
    let problem = new Problem(GONE, "reconnect");
    try {
      await file.slice(0, 1).arrayBuffer();
    } catch {
      problem = new Problem(`${file.name}: the browser cannot read it. Is it a folder?`);
    }
    this.over(() => this.told.failed(problem));
  }

  // The events that have come since the last call; each ends with an empty line.
  take() {
    if (this.request.status !== 200) return;
    const text = this.request.responseText;
    for (let end; (end = text.indexOf("\n\n", this.read)) >= 0; this.read = end + 2) {
      const data = text.slice(this.read, end).replace(/^data: ?/, "");
      if (data.startsWith("{")) this.event(JSON.parse(data));
    }
  }

  event(event) {
    if (event.type === "transcript.text.delta") this.told.text(event.delta, event.words ?? []);
    else if (event.type === "transcript.text.done") this.over(() => this.told.done(event));
    else if (event.error) this.over(() => this.told.failed(refused(event.error.message)));
  }

  over(tell) {
    if (this.finished) return;
    this.finished = true;
    tell();
  }
}

// A live session: samples out, words in. The protocol is Mistral's, with words, drafts and delays.

import { address, key, whyNot } from "./server.js";
import { GONE, Problem, refused } from "./problems.js";

const PATH = "v1/audio/transcriptions/realtime?model=voxrun";

export class Session {
  // `options`: {rate, delay, draft}, the last two in ms or null. `told`: functions that are called with what the
  // server says: text(text, words), draft(text), and at the end either done() or failed(problem).
  constructor(options, told) {
    this.options = options;
    this.told = told;
    this.waiting = []; // pieces from before the session has begun
    this.state = "connecting"; // then "open", "ending", "over"
    const url = address(PATH, location.protocol === "https:" ? "wss:" : "ws:");
    const protocols = key() ? ["realtime", `openai-insecure-api-key.${key()}`] : [];
    this.socket = new WebSocket(url, protocols);
    this.socket.onmessage = ({ data }) => this.take(JSON.parse(data));
    this.socket.onclose = () => this.lost();
  }

  hear(samples) {
    if (this.state === "connecting") this.waiting.push(samples);
    else if (this.state === "open") this.send("input_audio.append", { audio: base64(pcm16(samples)) });
  }

  // No more samples; `done` is told when the last words are.
  end() {
    if (this.state === "connecting") this.endsAtOnce = true;
    if (this.state !== "open") return;
    this.state = "ending";
    this.send("input_audio.end");
  }

  // Seconds of audio that the server has not taken yet.
  get behind() {
    const bytesPerSecond = (this.options.rate * 2 * 4) / 3; // base64
    return this.socket.bufferedAmount / bytesPerSecond;
  }

  take(event) {
    if (this.state === "over") return;
    switch (event.type) {
      case "session.created":
        this.begin(event.session);
        break;
      case "transcription.text.delta":
        this.told.text(event.text, event.words ?? []);
        break;
      case "transcription.text.draft":
        this.told.draft(event.text);
        break;
      case "transcription.done":
        this.over(() => this.told.done());
        break;
      case "error":
        this.over(() => this.told.failed(refused(event.error?.message?.detail ?? event.error?.message ?? "")));
        break;
    }
  }

  begin(session) {
    const { rate, delay, draft } = this.options;
    const chosen = { audio_format: { encoding: "pcm_s16le", sample_rate: rate } };
    if (delay) chosen.target_streaming_delay_ms = delay;
    if (draft && draft < (delay ?? session.target_streaming_delay_ms)) chosen.draft_streaming_delay_ms = draft;
    this.send("session.update", { session: chosen });
    this.state = "open";
    this.waiting.forEach((samples) => this.hear(samples));
    this.waiting = [];
    if (this.endsAtOnce) this.end();
  }

  send(type, fields = {}) {
    this.socket.send(JSON.stringify({ type, ...fields }));
  }

  async lost() {
    if (this.state === "over") return;
    const connected = this.state !== "connecting";
    this.state = "over";
    this.told.failed(connected ? new Problem(GONE, "reconnect") : await whyNot());
  }

  over(tell) {
    this.close();
    tell();
  }

  // Nothing is told any more.
  close() {
    this.state = "over";
    this.socket.close();
  }
}

function pcm16(samples) {
  const values = Int16Array.from(samples, (sample) => Math.max(-32768, Math.min(32767, Math.round(sample * 32768))));
  return new Uint8Array(values.buffer); // every browser's machine is little-endian
}

function base64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

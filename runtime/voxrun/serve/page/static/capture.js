// In the audio thread: gathers what the microphone gives into pieces of 80 ms, and measures how loud they are.

const PIECE = 0.08; // seconds

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.piece = new Float32Array(Math.round(sampleRate * PIECE));
    this.filled = 0;
    this.running = true;
    this.port.onmessage = () => {
      this.send();
      this.running = false;
      this.port.postMessage(null); // that was all
    };
  }

  process([[channel]]) {
    if (!this.running) return false;
    let rest = channel ?? [];
    while (rest.length) {
      const taken = rest.subarray(0, this.piece.length - this.filled);
      this.piece.set(taken, this.filled);
      this.filled += taken.length;
      rest = rest.subarray(taken.length);
      if (this.filled === this.piece.length) this.send();
    }
    return true;
  }

  send() {
    const samples = this.piece.slice(0, this.filled);
    this.filled = 0;
    if (samples.length) this.port.postMessage(samples, [samples.buffer]);
  }
}

registerProcessor("capture", Capture);

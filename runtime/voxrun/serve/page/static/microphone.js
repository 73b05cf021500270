// The microphone: samples in pieces, its level, and which ones there are.

import { INSECURE, Problem, SILENT, ofMicrophone } from "./problems.js";
import { whyNot } from "./server.js";

const RATE = 16000; // what the model hears; a browser that cannot resample gives its own

const START = 5000; // ms in which the audio must begin
const LAST = 500; // ms for the last piece

export const available = Boolean(navigator.mediaDevices?.getUserMedia);

export class Microphone {
  // Asks for permission. Throws a Problem.
  static async open(device) {
    if (!available) throw new Problem(INSECURE);
    // The sound as it is: what calls filter out as noise, a model of speech may need.
    const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false };
    if (device) audio.deviceId = { exact: device };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio });
      return await Microphone.of(stream);
    } catch (error) {
      stream?.getTracks().forEach((track) => track.stop());
      throw error instanceof Problem ? error : ofMicrophone(error);
    }
  }

  static async of(stream) {
    const microphone = new Microphone();
    microphone.stream = stream;
    microphone.connect();
    await microphone.load();
    return microphone;
  }

  connect() {
    this.context = new AudioContext({ sampleRate: RATE });
    try {
      this.source = this.context.createMediaStreamSource(this.stream);
    } catch {
      this.context.close(); // Firefox connects no microphone to a context of another rate
      this.context = new AudioContext();
      this.source = this.context.createMediaStreamSource(this.stream);
    }
  }

  async load() {
    try {
      await this.context.audioWorklet.addModule(new URL("capture.js", import.meta.url));
    } catch {
      throw await whyNot();
    }
    this.capture = new AudioWorkletNode(this.context, "capture", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit", // several channels are mixed to one
    });
  }

  get rate() {
    return this.context.sampleRate;
  }

  // `heard(samples)` is called with each piece, `lost()` when the device goes.
  async start(heard, lost) {
    const [track] = this.stream.getAudioTracks();
    track.addEventListener("ended", lost);
    this.ended = new Promise((resolve) => {
      this.capture.port.onmessage = ({ data }) => (data ? heard(data) : resolve());
    });
    this.source.connect(this.capture);
    await Promise.race([this.context.resume(), passed(START)]);
    if (this.context.state !== "running") throw new Problem(SILENT); // resume() waits for ever
  }

  // The last piece is heard before this returns.
  async stop() {
    this.capture.port.postMessage("stop");
    await Promise.race([this.ended, passed(LAST)]);
    this.close();
  }

  close() {
    this.stream.getTracks().forEach((track) => track.stop());
    if (!this.closed) this.context.close();
    this.closed = true; // the context's own state says so later
  }
}

function passed(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// The microphones by name; before permission was given, browsers tell no names, and none are listed.
export async function devices() {
  if (!available) return [];
  const all = await navigator.mediaDevices.enumerateDevices();
  return all.filter(({ kind, label, deviceId }) => kind === "audioinput" && label && deviceId !== "default");
}

// How loud samples are, 0 to 1: from -60 dB to full scale.
export function level(samples) {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / (samples.length || 1);
  return Math.min(1, Math.max(0, 1 + (10 * Math.log10(power + 1e-12)) / 60));
}

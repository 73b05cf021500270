// What the user chooses: microphone, delay, draft. Kept for the next visit, where the browser allows it.

import { devices } from "./microphone.js";

const DELAYS = [...Array.from({ length: 15 }, (_, number) => 80 * (number + 1)), 2400]; // ms
const DRAFT = 160; // ms
const NOTES = { 80: "fastest", 2400: "best" };

const device = document.getElementById("device");
const delay = document.getElementById("delay");
const draft = document.getElementById("draft");

export const choices = {
  get device() {
    return device.value;
  },
  get delay() {
    return Number(delay.value) || null;
  },
  get draft() {
    return draft.checked ? DRAFT : null;
  },
};

export function prepare() {
  for (const ms of DELAYS) delay.add(new Option(NOTES[ms] ? `${ms} ms, ${NOTES[ms]}` : `${ms} ms`, ms));
  delay.value = remembered("delay") ?? "";
  draft.checked = remembered("draft") !== "false";
  delay.addEventListener("change", () => remember("delay", delay.value));
  draft.addEventListener("change", () => remember("draft", draft.checked));
  device.addEventListener("change", () => remember("device", device.value));
  navigator.mediaDevices?.addEventListener?.("devicechange", listDevices);
  return listDevices();
}

// Their names are known once permission was given.
export async function listDevices() {
  const chosen = device.value || remembered("device");
  const found = await devices();
  device.replaceChildren(new Option("Default", ""), ...found.map(({ label, deviceId }) => new Option(label, deviceId)));
  device.value = found.some(({ deviceId }) => deviceId === chosen) ? chosen : "";
}

// The server's own delay.
export function tellDefault(ms) {
  delay.options[0].text = `Default (${ms} ms)`;
}

function remember(name, value) {
  try {
    localStorage.setItem(`voxrun-${name}`, value);
  } catch {
    // The browser keeps nothing: then the choice is for this visit.
  }
}

function remembered(name) {
  try {
    return localStorage.getItem(`voxrun-${name}`);
  } catch {
    return null;
  }
}

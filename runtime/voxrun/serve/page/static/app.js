// START HERE: the page from buttons to words. One thing happens at a time: a recording, or a file.

import { choices, listDevices, prepare, tellDefault } from "./choices.js";
import { FORMATS, TYPES, txt } from "./formats.js";
import { available } from "./microphone.js";
import { Notice } from "./notice.js";
import { BUSY, INSECURE } from "./problems.js";
import { Recording } from "./recording.js";
import { model, setKey } from "./server.js";
import { Transcript } from "./transcript.js";
import { Upload, duration } from "./upload.js";
import { View, clock, keepingEnd } from "./view.js";

const $ = (id) => document.getElementById(id);
const LABELS = { idle: "Record", starting: "Cancel", hearing: "Stop", ending: "Do not wait", file: "Cancel" };

const transcript = new Transcript();
const view = new View($("transcript"), $("hint"), $("announced"));
const notice = new Notice($("alerts"));
let activity = null; // what `stop()` ends
let unsaved = false;

function state(name, detail = "Ready") {
  keepingEnd(() => (document.body.dataset.state = name)); // phones have a smaller dock while they hear
  $("record-label").textContent = LABELS[name];
  if ($("status").textContent !== detail) $("status").textContent = detail; // else it would be read out again
  $("progress").hidden = name !== "file";
  $("meter").hidden = name === "file";
  $("open").disabled = name !== "idle";
  for (const choice of $("choices").querySelectorAll("select, input")) choice.disabled = name !== "idle";
  if (name !== "hearing") showLevel(0);
  refresh();
}

function refresh() {
  const nothing = transcript.empty;
  for (const button of $("tools").querySelectorAll("button")) button.disabled = nothing;
  $("clear").disabled = nothing || Boolean(activity);
}

function showLevel(value) {
  $("dock").style.setProperty("--level", value.toFixed(3));
  $("meter").setAttribute("aria-valuenow", Math.round(value * 100));
}

// What recordings and files tell alike.
function into(section) {
  return {
    text(text, words) {
      section.add(text, words);
      unsaved ||= Boolean(text.trim());
      view.update(section, text);
      refresh();
    },
    draft(text) {
      if (text === section.draft) return;
      section.setDraft(text);
      view.update(section);
    },
    over(problem, again) {
      activity = null;
      if (!section.text.trim()) view.remove(section);
      state("idle");
      if (problem) fail(problem, again);
    },
  };
}

function record() {
  notice.hide();
  const section = transcript.begin();
  const told = into(section);
  activity = new Recording({
    ...told,
    state,
    level: showLevel,
    seconds(seconds) {
      section.seconds = seconds;
      $("clock").textContent = clock(seconds);
    },
    over: (problem) => told.over(problem, record),
  });
  activity.start(choices).then(listDevices);
}

// One after another; the rest is left when one fails or is cancelled.
function hear([file, ...rest]) {
  if (!file) return;
  if (activity) return notice.show(BUSY);
  notice.hide();
  const section = transcript.begin(file.name);
  const told = into(section);
  const over = (problem) => told.over(problem, () => hear([file, ...rest]));
  const progress = new Progress($("progress"), file);
  const upload = new Upload(file, choices.delay, {
    sent: (part) => progress.sent(part),
    text(text, words) {
      told.text(text, words);
      progress.heard(section.seconds);
    },
    done({ duration, warnings = [] }) {
      section.seconds = duration;
      over(null);
      if (warnings.length) notice.show(`${file.name}: ${warnings.join("; ")}`);
      else if (!section.text.trim()) notice.show(`${file.name}: no speech was heard in it.`);
      hear(rest);
    },
    failed: over,
  });
  activity = {
    stop() {
      upload.cancel();
      over(null);
    },
  };
  refresh();
}

// How far a file is: first how much is sent, then how much is heard.
class Progress {
  constructor(bar, file) {
    this.bar = bar;
    this.name = file.name;
    duration(file).then((seconds) => (this.seconds = seconds));
    this.sent(0);
  }

  sent(part) {
    state("file", part < 1 ? `Sending ${this.name}` : `Transcribing ${this.name}`);
    $("clock").textContent = part < 1 ? `${Math.round(part * 100)} %` : "";
    this.show(part < 1 ? part : NaN);
  }

  heard(seconds) {
    $("clock").textContent = clock(seconds) + (this.seconds ? ` of ${clock(this.seconds)}` : "");
    this.show(seconds / this.seconds);
  }

  // A part that is not known shows as a bar that only moves.
  show(part) {
    if (Number.isFinite(part)) this.bar.value = Math.min(1, part);
    else this.bar.removeAttribute("value");
  }
}

function fail(problem, again) {
  if (problem.remedy === "key") askKey(problem.message, again);
  else notice.show(problem.message, problem.remedy && { label: "Reconnect", act: again });
}

function askKey(message, again) {
  $("key-message").textContent = message;
  $("key-form").hidden = false;
  $("key").focus();
  $("key-form").onsubmit = (event) => {
    event.preventDefault();
    setKey($("key").value.trim());
    $("key").value = "";
    $("key-form").hidden = true;
    again();
  };
}

async function connect() {
  try {
    const { id, default_delay_ms } = await model();
    $("model").textContent = id;
    tellDefault(default_delay_ms);
    if (!available) notice.show(INSECURE);
  } catch (problem) {
    fail(problem, connect);
  }
}

async function copy() {
  const text = txt(transcript);
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    if (!copyOldWay(text)) return notice.show("The browser does not let the page copy: save the text instead.");
  }
  unsaved = false;
  flash($("copy"), "Copied");
}

// Pages that are not secure have no clipboard.
function copyOldWay(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  $("copy").focus();
  return copied;
}

function save(format) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([FORMATS[format](transcript)], { type: TYPES[format] }));
  const name = transcript.sections.find((section) => section.name)?.name.replace(/\.[^.]*$/, "");
  link.download = `${name || `transcript ${new Date().toLocaleString("sv").replace(/:/g, ".")}`}.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  unsaved = false;
}

function clear() {
  const { sections } = transcript;
  const wasUnsaved = unsaved;
  show([]);
  unsaved = false;
  notice.show("The transcript is cleared.", {
    label: "Undo",
    act() {
      show([...sections, ...transcript.sections]);
      unsaved ||= wasUnsaved;
    },
  });
}

function show(sections) {
  transcript.sections = sections;
  view.show(sections);
  refresh();
}

function flash(button, text) {
  const usual = button.textContent;
  if (usual === text) return;
  button.textContent = text;
  setTimeout(() => (button.textContent = usual), 1500);
}

function acceptDrops() {
  const over = (inside) => document.body.classList.toggle("dropping", inside);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    over(event.dataTransfer.types.includes("Files"));
  });
  addEventListener("dragleave", (event) => event.relatedTarget || over(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    hear([...event.dataTransfer.files]);
  });
}

$("record").addEventListener("click", () => (activity ? activity.stop() : record()));
$("open").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  hear([...$("file").files]);
  $("file").value = ""; // so that the same file can be chosen again
});
$("copy").addEventListener("click", copy);
$("clear").addEventListener("click", clear);
for (const button of $("save").querySelectorAll("button")) {
  button.addEventListener("click", () => save(button.dataset.format));
}
addEventListener("beforeunload", (event) => {
  if (unsaved || activity) event.preventDefault();
});
acceptDrops();
state("idle");
await prepare();
await connect();
document.body.dataset.ready = "";

// START HERE: the page from buttons to words. One thing happens at a time: a recording, or a file.

import { choices, listDevices, prepare, tellDefault } from "./choices.js";
import { copy, save } from "./keep.js";
import { available } from "./microphone.js";
import { Notice } from "./notice.js";
import { BUSY, INSECURE } from "./problems.js";
import { Progress } from "./progress.js";
import { Recording } from "./recording.js";
import { model, setKey } from "./server.js";
import { Transcript } from "./transcript.js";
import { Upload } from "./upload.js";
import { View, clock, keepingEnd } from "./view.js";

const $ = (id) => document.getElementById(id);
const LABELS = { idle: "Record", starting: "Cancel", hearing: "Stop", ending: "Do not wait", file: "Cancel" };

const transcript = new Transcript();
const view = new View($("transcript"), $("hint"), $("announced"));
const notice = new Notice($("alerts"), $("record"));
let activity = null; // what `stop()` ends
let unsaved = false;

function state(name, detail = "Ready") {
  keepingEnd(() => (document.body.dataset.state = name)); // phones have a smaller dock while they hear
  $("record-label").textContent = LABELS[name];
  if ($("status").textContent !== detail) $("status").textContent = detail; // else it would be read out again
  $("progress").hidden = name !== "file";
  $("meter").hidden = name === "file";
  $("open").disabled = name !== "idle";
  document.title = name === "idle" ? "voxrun" : `${detail} – voxrun`;
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
    over(problem, again, detail) {
      activity = null;
      section.close();
      if (!section.text.trim()) view.remove(section);
      state("idle", detail);
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

// One after another. A file that is refused is named at the end; a lost connection can be taken up again.
function hear([file, ...rest], notes = []) {
  if (!file) return notes.length && notice.show(notes.join("\n"));
  if (activity) return notice.show(BUSY);
  notice.hide();
  const section = transcript.begin(file.name);
  const told = into(section);
  const progress = new Progress(file, { bar: $("progress"), text: $("clock"), phase: (phase) => state("file", phase) });
  const next = (...more) => hear(rest, [...notes, ...more]);
  const upload = new Upload(file, choices.delay, {
    sent: (part) => progress.sent(part),
    text(text, words) {
      told.text(text, words);
      progress.heard(section.seconds);
    },
    done({ duration, warnings = [] }) {
      section.seconds = duration;
      $("clock").textContent = "";
      told.over(null, null, `${clock(duration)} transcribed`);
      if (section.text.trim() || warnings.length) next(...warnings);
      else next(`${file.name}: no speech was heard in it.`);
    },
    failed(problem) {
      told.over(problem.remedy ? problem : null, () => hear([file, ...rest], notes));
      if (!problem.remedy) next(problem.message);
    },
  });
  activity = {
    stop() {
      upload.cancel();
      told.over(null);
    },
  };
  refresh();
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
    $("record").focus();
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

async function copyAll() {
  if (!(await copy(transcript))) return notice.show("The browser does not let the page copy: save the text instead.");
  unsaved = false;
  $("copy").textContent = "Copied";
  setTimeout(() => ($("copy").textContent = "Copy"), 1500);
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
  notice.focus();
}

function show(sections) {
  transcript.sections = sections;
  view.show(sections);
  refresh();
}

function acceptDrops() {
  const over = (inside) => document.body.classList.toggle("dropping", inside);
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    over(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget || over(false));
  addEventListener("drop", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
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
$("copy").addEventListener("click", copyAll);
$("clear").addEventListener("click", clear);
for (const button of $("save").querySelectorAll("button")) {
  button.addEventListener("click", () => {
    save(transcript, button.dataset.format);
    unsaved = false;
  });
}
addEventListener("beforeunload", (event) => {
  if (unsaved || activity) event.preventDefault();
});
acceptDrops();
state("idle");
await prepare();
await connect();
document.body.dataset.ready = "";

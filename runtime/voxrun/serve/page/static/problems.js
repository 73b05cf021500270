// What went wrong, in words: what, and what to do about it.

export class Problem extends Error {
  // `remedy`: what a button offers, "" for none: "reconnect", "key".
  constructor(message, remedy = "") {
    super(message);
    this.remedy = remedy;
  }
}

const PORT = location.port || 80;

export const INSECURE =
  "Browsers give the microphone only to pages from https or from localhost. " +
  `On the computer that runs voxrun, open http://localhost:${PORT}. From another one use https, or a tunnel: ` +
  `ssh -L 8000:localhost:${PORT} HOST, then http://localhost:8000. Files can be opened here all the same.`;
export const GONE = "The connection to the server is lost. The text so far is kept.";
export const ENDED = "The server has ended the session. The text so far is kept.";
export const UNREACHABLE = "The server does not answer. Is voxrun serve running?";
export const KEY_NEEDED = "This server asks for an API key.";
export const KEY_WRONG = "The server does not accept this API key.";
export const SILENT =
  "The browser's sound does not start. Check that the computer has a device to play sound on, then press Record again.";
export const UNPLUGGED = "The microphone was disconnected. What was said until then is kept.";
export const BUSY = "Something is being transcribed: stop it, or wait for its end, then open the file.";

const OF_MICROPHONE = {
  NotAllowedError:
    "The browser may not use the microphone. Allow it in the settings of this site " +
    "(beside the address), then press Record again.",
  NotFoundError: "There is no microphone. Connect one, then press Record again.",
  NotReadableError:
    "The microphone does not start: another program may be using it. Close that one, then press Record again.",
  OverconstrainedError: "The chosen microphone is not connected. Choose another one, then press Record again.",
};

export function ofMicrophone(error) {
  return new Problem(OF_MICROPHONE[error.name] ?? `The microphone cannot be used (${error.message || error.name}).`);
}

export function refused(message) {
  return new Problem(`The server refused: ${message}`);
}

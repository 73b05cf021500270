// Where the server is, the API key, and whether it answers.

import { GONE, KEY_NEEDED, KEY_WRONG, Problem, UNREACHABLE, refused } from "./problems.js";

const KEY = "voxrun-key";

// Relative to the page, so that it also works below a path of a proxy.
export function address(path, protocol = location.protocol) {
  const url = new URL(path, document.baseURI);
  url.protocol = protocol;
  return url;
}

export function key() {
  return sessionStorage.getItem(KEY) ?? "";
}

export function setKey(value) {
  sessionStorage.setItem(KEY, value);
}

export function authorization() {
  return key() ? { Authorization: `Bearer ${key()}` } : {};
}

// Its model: {id, default_delay_ms}. Throws a Problem if it does not answer, or wants another key.
export async function model() {
  let answer;
  try {
    answer = await fetch(address("v1/models"), { headers: authorization() });
  } catch {
    throw new Problem(UNREACHABLE, "reconnect");
  }
  if (!answer.ok) throw ofStatus(answer.status, await answer.text());
  return (await answer.json()).data[0];
}

// Why a connection could not be made, which a browser does not tell.
export async function whyNot() {
  try {
    await model();
  } catch (problem) {
    return problem;
  }
  return new Problem("The server does not accept the connection now. Try again later.", "reconnect");
}

// What an answer that is not 200 says; an empty status is that of a connection that broke.
export function ofStatus(status, body) {
  if (status === 401) return new Problem(key() ? KEY_WRONG : KEY_NEEDED, "key");
  if (!status) return new Problem(GONE, "reconnect");
  return refused(message(body) ?? `status ${status}`);
}

function message(body) {
  try {
    return JSON.parse(body).error.message;
  } catch {
    return undefined;
  }
}

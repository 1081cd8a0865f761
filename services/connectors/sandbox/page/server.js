// Calls of the sandbox's REST, and its stream of events.

export async function call(method, path, body) {
  const options = { method, headers: {} };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server cannot be reached. Is onebus running?");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Error([answer.error ?? `Error ${response.status}`, answer.hint].filter(Boolean).join(" – "));
  }
  return answer;
}

// Types that any page may send anywhere, which the server therefore refuses.
const UNASKED = ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];

// Keeps a file, and answers how messages name it.
export async function upload(file) {
  const type = UNASKED.includes(file.type.split(";")[0].trim()) ? "application/octet-stream" : file.type;
  const options = { method: "POST", body: file, headers: { "Content-Type": type } };
  let response;
  try {
    response = await fetch(`api/files?name=${encodeURIComponent(file.name)}`, options);
  } catch {
    throw new Error("The file could not be sent. Is onebus running?");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `Error ${response.status}`);
  return answer;
}

// Follows the stream for ever. `on` has open, lost, message, edit, recall and notice.
export function follow(on) {
  const source = new EventSource("api/stream");
  source.onopen = on.open;
  source.onerror = () => {
    on.lost();
    // A refused connection is not tried again by the browser.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(on), 2000);
  };
  source.onmessage = (event) => on.message(JSON.parse(event.data));
  for (const kind of ["edit", "recall", "notice"]) {
    source.addEventListener(kind, (event) => on[kind](JSON.parse(event.data)));
  }
}

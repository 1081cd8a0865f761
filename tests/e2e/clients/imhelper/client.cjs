// A client of the shape that imhelper's SDK has: events by WebSocket with the token in the query,
// actions by HTTP POST with the token in the header. (The SDK itself is in no public registry.)
const WebSocket = require("ws");

const { base, token } = JSON.parse(process.env.IMHELPER);

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function call({ action, params }) {
  const response = await fetch(`${base}/${action}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify(params),
  });
  if (!response.ok) return say({ called: action, failed: response.status });
  const { status, retcode, data } = await response.json();
  say(status === "failed" ? { called: action, failed: retcode } : { called: action, data });
}

function receive(event) {
  if (event.post_type !== "message") return say({ event: event.post_type, data: event });
  say({ event: `message.${event.message_type}`, data: event });
  const text = event.message[0]?.data.text;
  if (text?.startsWith("call ")) call(JSON.parse(text.slice(5)));
}

const url = new URL(base.replace(/^http/, "ws"));
url.searchParams.set("access_token", token);
const socket = new WebSocket(url);
socket.on("open", () => say({ open: true }));
socket.on("message", (data) => receive(JSON.parse(data.toString())));
socket.on("close", (code) => say({ closed: code }));

// A bot as its author would write it: Koishi with its OneBot adapter, by forward or reverse
// WebSocket. Every session is a line; "call {…}" calls the adapter's method for an action.
const { readFileSync } = require("node:fs");
const { Context } = require("koishi");
const onebot = require("koishi-plugin-adapter-onebot");

const { protocol, port, ...connection } = JSON.parse(process.env.KOISHI);
const methods = modelled();

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

// The adapter keeps to itself which arguments its methods take, so they are read from its source.
function modelled() {
  const source = readFileSync(require.resolve("koishi-plugin-adapter-onebot"), "utf8");
  const found = {};
  for (const [, extract, listed] of source.matchAll(/^Internal\.define(Extract)?\((.*)\);$/gm)) {
    const [name, ...rest] = JSON.parse(`[${listed}]`);
    found[name] = extract ? rest.slice(1) : rest;
  }
  found.set_group_anonymous_ban = ["group_id", "flag", "duration"];
  return found;
}

function method(action, form) {
  const name = action.replace(/^[._]/, "").replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
  return form ? `${name}Async` : name;
}

async function call(internal, { action, params, form }) {
  const args = methods[action].map((name) => params[name]);
  try {
    say({ called: action, data: (await internal[method(action, form)](...args)) ?? null });
  } catch (error) {
    say({ called: action, failed: error.code ?? String(error) });
  }
}

const app = new Context();
app.plugin(require("@koishijs/plugin-http").default);
app.plugin(require("@koishijs/plugin-server").default, { host: "127.0.0.1", port });
app.plugin(onebot.default, { protocol, ...connection });

app.on("login-updated", (session) => say({ login: session.bot.status }));
app.on("internal/session", (session) => {
  if (session.type.startsWith("internal") || session.type.startsWith("login")) return;
  const type = session.subtype ? `${session.type}/${session.subtype}` : session.type;
  const { userId: user, selfId: self, channelId: channel, messageId: message } = session;
  say({ event: type, data: session.onebot, session: { user, self, channel, message } });
});
app.on("message", (session) => {
  const [text] = session.elements.map(({ attrs }) => attrs.content ?? "");
  if (text?.startsWith("call ")) call(session.bot.internal, JSON.parse(text.slice(5)));
});
app.on("ready", () => say({ models: methods }));
app.start();

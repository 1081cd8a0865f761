// A Koishi whose handlers do what a message says: "await 2" waits, "block 2" holds its thread.
const { Context } = require("koishi");
const onebot = require("koishi-plugin-adapter-onebot");

const { port, ...connection } = JSON.parse(process.env.BUSY);
const app = new Context();
app.plugin(require("@koishijs/plugin-http").default);
app.plugin(require("@koishijs/plugin-server").default, { host: "127.0.0.1", port });
app.plugin(onebot.default, connection);
app.on("message", async (session) => {
  console.log(`begins ${session.messageId}`);
  const [text] = session.elements.map(({ attrs }) => attrs.content ?? "");
  const [how, seconds] = text.split(" ");
  if (how === "await") await new Promise((wake) => setTimeout(wake, seconds * 1000));
  if (how === "block") for (const until = Date.now() + seconds * 1000; Date.now() < until; );
});
app.start();

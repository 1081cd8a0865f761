// What the log of a chat and the list of members show: messages, notices, people.

import { drawSegment, make } from "./segments.js";

const LIKE = "👍";

export function avatar(user, name, bot) {
  let sum = 0;
  for (const character of user) sum = (sum * 31 + character.codePointAt(0)) % 997;
  const tint = user === bot ? "bot" : String(sum % 6);
  return make("span", { class: "avatar", "data-tint": tint, "aria-hidden": "true" }, first(name));
}

function first(name) {
  return [...name][0]?.toUpperCase() ?? "?";
}

function badge(text, kind = "") {
  return make("span", { class: `badge ${kind}`.trim() }, text);
}

export function drawMember(member, name, bot) {
  const line = make("span", { class: "name" }, name);
  if (member.user === bot) line.append(badge("bot", "bot"));
  if (member.role !== "member") line.append(badge(member.role));
  if (member.muted_until) line.append(badge("muted"));
  const number = make("small", {}, `${member.user} · user_id ${member.onebot_id}`);
  return make("li", {}, avatar(member.user, name, bot), make("span", { class: "who" }, line, number));
}

export function drawNotice({ text, time }) {
  return make("li", { class: "notice" }, text, " ", drawTime(time));
}

// `on` has what the buttons of a message do: reply, react, edit and recall.
export function drawMessage(message, { me, bot }, look, on) {
  const own = message.user === me;
  const name = message.name || message.user;
  const kinds = ["message", own && "own", message.from_bot && "from-bot", message.recalled && "recalled"];
  const bubble = make("div", { class: "bubble" });
  if (message.recalled) bubble.append("This message was recalled");
  else bubble.append(...message.message.map((segment) => drawSegment(segment, look)));
  const body = make("div", { class: "body" }, drawHead(message, name, { me, own }, on), bubble);
  if (!message.recalled) body.append(...drawReactions(message, me, look, on));
  return make(
    "li",
    { class: kinds.filter(Boolean).join(" "), "data-id": message.message_id },
    avatar(message.user, name, bot),
    body,
  );
}

function drawHead(message, name, { me, own }, on) {
  const head = make("div", { class: "head" }, make("strong", {}, name));
  if (message.from_bot) head.append(badge("bot", "bot"));
  for (const kind of ["anonymous", "notice", "pinned"]) {
    if (message[kind]) head.append(badge(kind));
  }
  head.append(drawTime(message.time));
  if (message.recalled) return head;
  if (message.edited) head.append(make("small", {}, "edited"));
  const button = (label, does) => make("button", { type: "button", onclick: does }, label);
  const actions = make("span", { class: "actions" }, button("Reply", () => on.reply(message)));
  if (!message.reactions[LIKE]?.includes(me)) actions.append(button("Like", () => on.react(message, LIKE)));
  if (own) {
    actions.append(button("Edit", () => on.edit(message)), button("Recall", () => on.recall(message)));
  }
  head.append(actions);
  return head;
}

function drawReactions(message, me, look, on) {
  const chips = Object.entries(message.reactions).map(([emoji, users]) =>
    make(
      "button",
      {
        type: "button",
        title: users.map(look.nameOf).join(", "),
        "aria-pressed": String(users.includes(me)),
        onclick: () => on.react(message, emoji),
      },
      `${emoji} ${users.length}`,
    ),
  );
  return chips.length ? [make("div", { class: "reactions" }, ...chips)] : [];
}

function drawTime(seconds) {
  const time = new Date(seconds * 1000);
  const shown = time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return make("time", { datetime: time.toISOString(), title: time.toLocaleString() }, shown);
}

// The sandbox's page: who you are, the chats, and the one that is open.

import { avatar, drawMember, drawMessage, drawNotice } from "./entries.js";
import { ask, chatChoices, fillMenu, memberChoices } from "./menus.js";
import { chatOf, lineOf } from "./notices.js";
import { make, plain, segmentsOf } from "./segments.js";
import { call, follow, upload } from "./server.js";

const $ = (id) => document.getElementById(id);
const base = location.pathname.replace(/\/+$/, "");
const state = { me: null, bot: null, users: new Map(), groups: new Map() };
const open = { chat: null, messages: new Map(), replyTo: null };
// Lines about what happened since the page was opened, by chat; "" is every chat.
const notices = new Map();
const MAX_NOTICES = 200;
const unread = new Set();
let arrived = 0;
const look = { nameOf, quote };
let atEnd = true;
let lastTop = 0;

async function loadState() {
  const answer = await call("GET", "api/state");
  state.bot = answer.bot;
  state.users = new Map(answer.users.map((user) => [user.user, user]));
  state.groups = new Map(answer.groups.map((group) => [group.group, group]));
  drawChats();
  drawHeader();
}

async function recover() {
  try {
    await loadState();
    if (open.chat) await loadMessages();
    $("send-error").textContent = "";
  } catch (error) {
    showError(error);
  }
}

function receive(message) {
  const key = message.group === null ? `user:${message.peer}` : `group:${message.group}`;
  const isNew = !state.users.has(message.user) || (message.group !== null && !isMember(message));
  if (isNew) loadState().catch(showError);
  if (open.chat?.key === key) {
    if (open.messages.has(message.message_id)) return;
    keep(message);
    drawMessages();
  } else if (message.group !== null || message.peer === state.me) {
    unread.add(key);
    drawChats();
  }
}

// Of one second, what came first is shown first.
function keep(message) {
  message.arrived = open.messages.get(message.message_id)?.arrived ?? ++arrived;
  open.messages.set(message.message_id, message);
}

function hear(notice) {
  loadState().catch(showError);
  if (notice.type === "reaction_changed") {
    changeReaction(notice);
    return;
  }
  const message = notice.type === "message_pinned" && open.messages.get(notice.message);
  if (message) message.pinned = notice.pinned;
  const text = lineOf(notice, nameOf);
  if (!text) return;
  const key = chatOf(notice);
  notices.set(key, [...(notices.get(key) ?? []), { text, time: notice.time, arrived: ++arrived }].slice(-MAX_NOTICES));
  if (!key || key === open.chat?.key) drawMessages();
}

function changeReaction({ message, user, emoji, added }) {
  const known = open.messages.get(message);
  if (!known) return;
  const users = (known.reactions[emoji] ?? []).filter((other) => other !== user);
  if (added) users.push(user);
  if (users.length) known.reactions[emoji] = users;
  else delete known.reactions[emoji];
  drawMessages();
}

function isMember(message) {
  return state.groups.get(message.group)?.members.some((member) => member.user === message.user);
}

async function become(user) {
  await call("POST", "api/users", { user });
  state.me = user;
  sessionStorage.setItem("me", user);
  await loadState();
  $("welcome").hidden = true;
  $("app").hidden = false;
  const last = sessionStorage.getItem("chat");
  const [kind, id] = last ? split(last) : [];
  await openChat(kind === "group" ? groupChat(id) : privateChat());
  $("app").dataset.view = narrow() && !last ? "list" : "chat";
}

function split(key) {
  const at = key.indexOf(":");
  return [key.slice(0, at), key.slice(at + 1)];
}

const narrow = () => matchMedia("(max-width: 700px)").matches;
const groupChat = (id) => ({ key: `group:${id}`, kind: "group", id, query: `group=${encodeURIComponent(id)}` });
const privateChat = () => ({
  key: `user:${state.me}`,
  kind: "user",
  id: state.me,
  query: `user=${encodeURIComponent(state.me)}`,
});

async function openChat(chat) {
  open.chat = chat;
  open.messages = new Map();
  sessionStorage.setItem("chat", chat.key);
  unread.delete(chat.key);
  $("app").dataset.view = "chat";
  $("members").open = false;
  $("send-error").textContent = "";
  reply(null);
  drawChats();
  drawHeader();
  drawMessages();
  await loadMessages().catch(showError);
  if (!narrow() && open.chat === chat && !isTyping()) $("text").focus();
}

// Whoever has begun to type elsewhere while messages were loading must not end up here.
const isTyping = () => document.activeElement?.matches("input, textarea, select") ?? false;

async function loadMessages() {
  const chat = open.chat;
  const answer = await call("GET", `api/messages?${chat.query}`);
  if (open.chat !== chat) return;
  const first = open.messages.size === 0;
  for (const message of answer.messages) keep(message);
  drawMessages({ toEnd: first });
}

function showLive(name) {
  $("live").dataset.state = name;
  $("live").textContent = name === "live" ? "live" : `${name}…`;
}

function showError(error) {
  $("send-error").textContent = error.message;
}

function nameOf(user) {
  return state.users.get(user)?.name ?? user;
}

function chatButton(chat, label, picture) {
  const button = make(
    "button",
    { type: "button", onclick: () => openChat(chat) },
    picture,
    make("span", { class: "label" }, label),
  );
  if (chat.key === open.chat?.key) button.setAttribute("aria-current", "true");
  if (unread.has(chat.key)) {
    button.append(make("span", { class: "unread" }, make("span", { class: "hidden" }, "unread")));
  }
  return make("li", {}, button);
}

function drawChats() {
  if (!state.me || !state.bot) return;
  const mine = state.users.get(state.me);
  $("me").textContent = nameOf(state.me);
  $("me-number").textContent = mine ? `user_id ${mine.onebot_id}` : "";
  const picture = avatar(state.me, nameOf(state.me), state.bot.user);
  picture.id = "me-avatar";
  $("me-avatar").replaceWith(picture);
  $("private-chats").replaceChildren(
    chatButton(privateChat(), state.bot.name, avatar(state.bot.user, state.bot.name, state.bot.user)),
  );
  const groups = [...state.groups.values()];
  if (open.chat?.kind === "group" && !state.groups.has(open.chat.id)) {
    groups.push({ group: open.chat.id, name: open.chat.id });
  }
  $("group-chats").replaceChildren(
    ...groups.map((group) =>
      chatButton(groupChat(group.group), group.name, make("span", { class: "avatar", "aria-hidden": "true" }, "#")),
    ),
  );
  drawAddresses();
}

function drawHeader() {
  const chat = open.chat;
  if (!chat || !state.bot) return;
  const group = chat.kind === "group" ? state.groups.get(chat.id) : null;
  $("chat-name").textContent = chat.kind === "group" ? (group?.name ?? chat.id) : state.bot.name;
  $("chat-about").textContent = about(chat, group);
  $("members").hidden = !group;
  $("mention-label").hidden = !group;
  $("text").placeholder = chat.kind === "group" ? `Message to ${$("chat-name").textContent}` : "Message to the bot";
  if (group) drawMembers(group);
  drawChatMenu(chat, group);
  drawAddresses();
}

function about(chat, group) {
  if (chat.kind === "user") return `Private chat with the bot, self_id ${state.bot.onebot_id}`;
  if (!group) return "A new group: write something to make it";
  const botIsIn = group.members.some((member) => member.user === state.bot.user);
  const notes = [`group_id ${group.onebot_id}`, group.muted && "everyone is muted", !botIsIn && "the bot is not in it"];
  return notes.filter(Boolean).join(" · ");
}

function drawChatMenu(chat, group) {
  const who = { me: state.me, bot: state.bot.user, friend: state.users.get(state.me)?.friend };
  const choices = chatChoices(chat, group, who);
  $("chat-menu").hidden = choices.length === 0;
  fillMenu($("chat-menu"), "⋯", choices, happen);
}

async function happen(choice) {
  $("send-error").textContent = "";
  try {
    const posted = await choice();
    if (posted) await call("POST", "api/events", posted);
  } catch (error) {
    showError(error);
  }
}

function drawMembers(group) {
  $("members-count").textContent = `${group.members.length} members`;
  $("member-list").replaceChildren(
    ...group.members.map((member) => {
      const name = member.card || nameOf(member.user);
      const item = drawMember(member, name, state.bot.user);
      const choices = memberChoices(member, group, state.me);
      if (choices.length) {
        const menu = make("select", { "aria-label": `Do something with ${name}` });
        fillMenu(menu, "⋯", choices, happen);
        item.append(menu);
      }
      return item;
    }),
  );
  const choices = group.members.filter((member) => member.user !== state.me);
  $("mention").replaceChildren(
    make("option", { value: "" }, "@ Mention"),
    ...choices.map((member) => make("option", { value: member.user }, member.card || nameOf(member.user))),
    make("option", { value: "all" }, "everyone"),
  );
}

function drawAddresses() {
  const socket = location.protocol === "https:" ? "wss:" : "ws:";
  const group = open.chat?.kind === "group" ? state.groups.get(open.chat.id) : null;
  const mine = state.users.get(state.me);
  for (const place of [$("connect-here"), $("empty-connect")]) {
    const copy = $("connect-template").content.cloneNode(true);
    copy.querySelector('[data-address="ws"]').textContent = `${socket}//${location.host}${base}/onebot/v11`;
    copy.querySelector('[data-address="http"]').textContent = `${location.origin}${base}/onebot/v11/{action}`;
    const numbers = [mine && `you are user_id ${mine.onebot_id}`, group && `this group is group_id ${group.onebot_id}`];
    const text = numbers.filter(Boolean).join(", ");
    copy.querySelector('[data-address="numbers"]').textContent = text && `To bots ${text}.`;
    place.replaceChildren(copy);
  }
}

function drawMessages({ toEnd = false } = {}) {
  const log = $("log");
  atEnd ||= toEnd;
  const focused = document.activeElement?.closest?.(".message")?.dataset.id;
  const happened = [...(notices.get(open.chat?.key) ?? []), ...(notices.get("") ?? [])];
  const shown = [...open.messages.values(), ...happened].sort((a, b) => a.time - b.time || a.arrived - b.arrived);
  $("empty").hidden = shown.length > 0;
  $("messages").replaceChildren(...shown.map(entry));
  if (focused) {
    const again = [...$("messages").children].find((item) => item.dataset.id === focused);
    (again?.querySelector("button") ?? log).focus();
  }
  keepEnd();
}

// Who reads the newest message goes on doing so, whatever changes its size.
function keepEnd() {
  if (atEnd) $("log").scrollTop = $("log").scrollHeight;
}

function entry(item) {
  const who = { me: state.me, bot: state.bot?.user };
  return item.message_id ? drawMessage(item, who, look, { reply, react, edit, recall }) : drawNotice(item);
}

function of(message) {
  const group = message.group === null ? {} : { group: message.group };
  return { user: state.me, message_id: message.message_id, ...group };
}

function react(message, emoji) {
  const added = !message.reactions[emoji]?.includes(state.me);
  return happen(() => ({ type: "reaction_changed", emoji, added, ...of(message) }));
}

function edit(message) {
  return happen(async () => {
    const text = await ask("What it should say", plain(message, nameOf), 60000);
    return text ? { type: "message_edited", message: segmentsOf(text, namesHere()), ...of(message) } : null;
  });
}

function quote(id) {
  const message = open.messages.get(id);
  if (!message) return "an earlier message";
  const text = message.recalled ? "recalled" : plain(message, nameOf);
  return `${message.name || message.user}: ${text}`;
}

function reply(message) {
  open.replyTo = message;
  $("replying").hidden = !message;
  if (message) {
    $("replying-to").textContent = message.name || message.user;
    $("replying-text").textContent = plain(message, nameOf);
    $("text").focus();
  }
}

async function recall(message) {
  const group = message.group === null ? "" : `&group=${encodeURIComponent(message.group)}`;
  const who = `user=${encodeURIComponent(state.me)}${group}`;
  try {
    await call("DELETE", `api/messages/${encodeURIComponent(message.message_id)}?${who}`);
  } catch (error) {
    showError(error);
  }
}

// Whom "@name" calls in the open chat: by id, name or card.
function namesHere() {
  if (open.chat.kind !== "group") return new Map();
  const names = new Map([["everyone", "all"]]);
  // A group that is new has the bot in it already.
  for (const { user, card } of state.groups.get(open.chat.id)?.members ?? [state.bot]) {
    for (const name of [nameOf(user), card, user]) {
      if (name) names.set(name, user);
    }
  }
  return names;
}

async function send() {
  const chat = open.chat;
  const segments = segmentsOf($("text").value.trim(), namesHere());
  const image = $("image-url").value.trim();
  if (image) segments.push({ type: "image", data: { url: image } });
  const file = $("file").files[0];
  if (!segments.length && !file) return;
  const body = { user: state.me, message: segments };
  if (chat.kind === "group") body.group = chat.id;
  if (open.replyTo) body.reply_to = open.replyTo.message_id;
  $("send-error").textContent = "";
  try {
    if (file) segments.push(uploaded(await upload(file)));
    await call("POST", "api/messages", body);
  } catch (error) {
    showError(error);
    return;
  }
  $("text").value = "";
  $("image-url").value = "";
  $("file").value = "";
  showImageRow(false);
  reply(null);
  $("text").focus();
  if ($("live").dataset.state !== "live") await loadMessages().catch(showError);
}

// A file that was uploaded, as the segment that fits what it is.
function uploaded({ file, name, type }) {
  const kinds = { image: "image", audio: "voice", video: "video" };
  return { type: kinds[type.split("/")[0]] ?? "file", data: { file, name } };
}

function showImageRow(shown) {
  $("image-row").hidden = !shown;
  $("image-button").setAttribute("aria-expanded", String(shown));
  if (shown) $("image-url").focus();
}

$("name-form").addEventListener("submit", (event) => {
  event.preventDefault();
  become($("name").value.trim()).catch((error) => ($("name-error").textContent = error.message));
});
$("group-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("group").value.trim();
  if (!name) return;
  $("group").value = "";
  $("group").blur();
  openChat(groupChat(name));
});
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  } else if (event.key === "Escape") {
    reply(null);
  }
});
$("mention").addEventListener("change", () => {
  const user = $("mention").value;
  $("mention").value = "";
  if (!user) return;
  const text = $("text");
  const gap = text.value && !/\s$/.test(text.value) ? " " : "";
  text.value += `${gap}@${user === "all" ? "everyone" : nameOf(user)} `;
  text.focus();
});
$("image-button").addEventListener("click", () => showImageRow($("image-row").hidden));
$("cancel-reply").addEventListener("click", () => reply(null));
$("back").addEventListener("click", () => ($("app").dataset.view = "list"));
$("change-me").addEventListener("click", () => {
  sessionStorage.clear();
  location.reload();
});
document.addEventListener("click", (event) => {
  if (!$("members").contains(event.target)) $("members").open = false;
});

$("log").addEventListener("scroll", () => {
  const { scrollTop, scrollHeight, clientHeight } = $("log");
  const near = scrollHeight - scrollTop - clientHeight < 60;
  // Content that grows moves the end away too; only scrolling up means leaving it.
  if (near || scrollTop < lastTop) atEnd = near;
  lastTop = scrollTop;
});
const resized = new ResizeObserver(keepEnd);
resized.observe($("log"));
resized.observe($("messages"));

async function start() {
  const known = sessionStorage.getItem("me");
  if (known) {
    await become(known);
  } else {
    $("welcome").hidden = false;
    $("name").focus();
    await loadState();
    const people = [...state.users.values()].filter((user) => !user.is_bot).slice(0, 12);
    $("people").replaceChildren(
      ...people.map((user) => make("button", { type: "button", onclick: () => become(user.user) }, user.name)),
    );
  }
}

start().catch((error) => {
  $("welcome").hidden = false;
  $("name-error").textContent = error.message;
});
follow({
  open: () => {
    showLive("live");
    recover();
  },
  lost: () => showLive("reconnecting"),
  message: receive,
  recall: ({ message_id }) => {
    const message = open.messages.get(message_id);
    if (!message) return;
    message.recalled = true;
    drawMessages();
  },
  edit: ({ message_id, message: segments }) => {
    const message = open.messages.get(message_id);
    if (!message) return;
    Object.assign(message, { message: segments, edited: true });
    drawMessages();
  },
  notice: hear,
});

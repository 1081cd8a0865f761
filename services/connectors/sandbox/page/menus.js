// What a person can make happen: choices, each with what it posts to api/events.

import { make } from "./segments.js";

const MUTE_S = 600;
const byId = (id) => document.getElementById(id);

// In a chat.
export function chatChoices(chat, group, { me, bot, friend }) {
  if (chat.kind === "user") return privateChoices(me, friend);
  if (!group) return [];
  const there = new Set(group.members.map((member) => member.user));
  const at = { group: group.group };
  const choices = [];
  if (there.has(me)) {
    choices.push(["Rename the group…", () => renamed(at, me, group)]);
    choices.push(
      group.muted
        ? ["Let everyone write", () => ({ ...at, type: "member_muted", operator: me, duration_s: 0 })]
        : ["Mute everyone", () => ({ ...at, type: "member_muted", operator: me })],
    );
    choices.push(["Leave", () => ({ ...at, type: "member_left", user: me })]);
  } else if (there.has(bot)) {
    choices.push(["Join", () => ({ ...at, type: "member_joined", user: me })]);
    choices.push(["Ask to join…", () => requested(at, me, "add")]);
  }
  if (!there.has(bot)) {
    choices.push(["Ask the bot to join…", () => requested(at, me, "invite")]);
    choices.push(["Bring the bot in", () => joined(at, bot, me)]);
  }
  return choices;
}

// With a member of a group.
export function memberChoices(member, group, me) {
  const at = { group: group.group, user: member.user };
  const poke = ["Poke", () => ({ type: "poked", group: group.group, user: me, target: member.user })];
  if (!group.members.some((other) => other.user === me)) return [];
  if (member.user === me) return [poke];
  const choices = [
    poke,
    member.muted_until
      ? ["Let write again", () => ({ ...at, type: "member_muted", operator: me, duration_s: 0 })]
      : ["Mute for 10 min", () => ({ ...at, type: "member_muted", operator: me, duration_s: MUTE_S })],
  ];
  for (const [role, label] of [["admin", "Make admin"], ["owner", "Make owner"], ["member", "Make plain member"]]) {
    if (role !== member.role) choices.push([label, () => ({ ...at, type: "role_changed", role })]);
  }
  choices.push(["Remove", () => ({ ...at, type: "member_left", operator: me })]);
  return choices;
}

function privateChoices(me, friend) {
  const poke = ["Poke the bot", () => ({ type: "poked", user: me })];
  if (friend) return [poke, ["End the friendship", () => ({ type: "friend_removed", user: me })]];
  return [poke, ["Ask to be friends…", () => befriending(me)]];
}

function joined(at, user, operator) {
  return { ...at, type: "member_joined", user, operator, how: "invite" };
}

async function renamed(at, me, group) {
  const name = await ask("The group's new name", group.name, 64);
  return name ? { ...at, type: "group_renamed", operator: me, name } : null;
}

async function requested(at, user, kind) {
  const comment = await ask("Why?", "", 200);
  return comment === null ? null : { ...at, type: "group_requested", user, kind, comment };
}

async function befriending(user) {
  const comment = await ask("Who are you?", "", 200);
  return comment === null ? null : { type: "friend_requested", user, comment };
}

// A list of choices that is back at its title after each.
export function fillMenu(menu, title, choices, happen) {
  const options = choices.map(([label], place) => make("option", { value: String(place) }, label));
  menu.replaceChildren(make("option", { value: "" }, title), ...options);
  menu.onchange = () => {
    const choice = choices[Number(menu.value)];
    menu.value = "";
    happen(choice[1]);
  };
}

// Asks for a text in a small form; null when it is closed without.
export function ask(what, text, maxLength) {
  const dialog = byId("ask");
  byId("ask-what").textContent = what;
  byId("ask-text").value = text;
  byId("ask-text").maxLength = maxLength;
  dialog.returnValue = "cancel";
  dialog.showModal();
  byId("ask-text").select();
  return new Promise((done) => {
    dialog.onclose = () => done(dialog.returnValue === "ok" ? byId("ask-text").value.trim() : null);
  });
}

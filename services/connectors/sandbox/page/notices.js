// What happens besides messages, in one line each; "" for what is shown elsewhere.

const lines = {
  member_joined: ({ user, operator, how }, name) => {
    if (operator === user) return `${name(user)} joined`;
    return how === "invite" ? `${name(operator)} brought ${name(user)} in` : `${name(operator)} let ${name(user)} in`;
  },
  member_left: ({ user, operator }, name) =>
    operator === user ? `${name(user)} left` : `${name(operator)} removed ${name(user)}`,
  member_muted: ({ user, operator, duration_s }, name) => {
    const whom = user ? name(user) : "everyone";
    if (!duration_s) return `${name(operator)} lets ${whom} write again`;
    return `${name(operator)} muted ${whom}${duration_s > 0 ? ` for ${lasting(duration_s)}` : ""}`;
  },
  role_changed: ({ user, role }, name) => `${name(user)} is ${role === "member" ? "a plain member" : role} now`,
  card_changed: ({ user, card }, name) =>
    card ? `${name(user)} is called ${card} here` : `${name(user)} goes by their own name again`,
  title_changed: ({ user, title }, name) =>
    title ? `${name(user)} has the title ${title}` : `${name(user)} has no title any more`,
  group_renamed: ({ operator, name: called }, name) => `${name(operator)} renamed the group to ${called}`,
  file_uploaded: ({ user, file }, name) => `${name(user)} uploaded ${file.name}`,
  friend_added: ({ user }, name) => `${name(user)} and the bot are friends`,
  friend_removed: ({ user }, name) => `${name(user)} and the bot are no friends any more`,
  friend_requested: ({ user, comment }, name) => `${name(user)} asks to be a friend${quoted(comment)}`,
  group_requested: ({ user, kind, comment }, name) =>
    `${name(user)} ${kind === "add" ? "asks to join" : "asks the bot to join"}${quoted(comment)}`,
  message_pinned: ({ operator, pinned }, name) => `${name(operator)} ${pinned ? "pinned" : "unpinned"} a message`,
  poked: ({ user, target }, name) => `${name(user)} poked ${name(target)}`,
  lucky_king: ({ user, target }, name) => `${name(target)} got most of the red packet of ${name(user)}`,
  honor_changed: ({ user, honor }, name) => `${name(user)} is ${honor}`,
  interaction: ({ user, kind, value }, name) => `${name(user)}: ${kind} ${value}`,
  account_changed: ({ online, reason }) => `The bot is ${online ? "online" : "offline"}${quoted(reason)}`,
};

export function lineOf(notice, nameOf) {
  return lines[notice.type]?.(notice, nameOf) ?? "";
}

// The chat of a notice, as the page keys it; friends concern their private chat, the account all.
export function chatOf({ type, group, peer, user }) {
  if (group !== null) return `group:${group}`;
  if (peer !== null) return `user:${peer}`;
  return type === "account_changed" ? "" : `user:${user}`;
}

function quoted(text) {
  return text ? `: ${text}` : "";
}

function lasting(seconds) {
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

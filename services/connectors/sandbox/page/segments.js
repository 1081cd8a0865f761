// Segments of messages: to the document, as text nodes and checked addresses only, and from typing.

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// `look` tells what a segment alone does not: nameOf(user) and quote(message id).
export function drawSegment({ type, data }, look) {
  switch (type) {
    case "text":
      return document.createTextNode(data.text);
    case "mention":
      return make("span", { class: "mention" }, `@${data.user === "all" ? "everyone" : look.nameOf(data.user)}`);
    case "reply":
      return make("span", { class: "quote" }, look.quote(data.message_id));
    case "image":
      return isWeb(data.url)
        ? make("img", { src: data.url, alt: data.name || "image", referrerpolicy: "no-referrer", loading: "lazy" })
        : document.createTextNode(`[image ${data.url}]`);
    case "emoji":
      return make("span", { class: "other" }, `emoji ${data.name || data.id}`);
    case "dice":
      return make("span", { class: "other" }, `🎲 ${data.result || "a die"}`);
    case "rps":
      return make("span", { class: "other" }, `✊ ${data.result || "rock, paper, scissors"}`);
    case "shake":
      return make("span", { class: "other" }, "shakes the window");
    case "poke":
      return make("span", { class: "other" }, `pokes ${data.name || `${data.kind} ${data.id}`}`);
    case "contact":
      return make("span", { class: "other" }, `${data.kind === "group" ? "group" : "contact"} ${data.id}`);
    case "location":
      return make("span", { class: "other" }, `📍 ${data.title || ""} ${data.latitude}, ${data.longitude}`);
    case "forward":
      return drawForward(data, look);
    case "card":
      return make("pre", { class: "card" }, data.content);
    case "music":
      if (!isWeb(data.url)) return make("span", { class: "other" }, `🎵 ${data.title || `${data.kind} ${data.id}`}`);
    case "voice":
    case "video":
    case "file":
    case "link":
      // falls through from music, which may have an address
      if (isWeb(data.url)) {
        const label = data.title || data.name || data.url;
        const link = { href: data.url, target: "_blank", rel: "noopener noreferrer" };
        return make("a", link, `${type}: ${label}`);
      }
  }
  return make("code", { class: "other" }, `${type} ${JSON.stringify(data)}`);
}

function drawForward({ nodes }, look) {
  const lines = nodes.map(({ user, name, message }) =>
    make("div", {}, make("strong", {}, name || user), " ", ...message.map((segment) => drawSegment(segment, look))),
  );
  return make("div", { class: "forward" }, ...lines);
}

function isWeb(url) {
  try {
    // What was uploaded here has an address relative to the page.
    return Boolean(url) && ["http:", "https:"].includes(new URL(url, location.href).protocol);
  } catch {
    return false;
  }
}

// A message in one line, for quotes.
export function plain(message, nameOf) {
  const texts = message.message.map(({ type, data }) => {
    if (type === "text") return data.text;
    if (type === "mention") return `@${nameOf(data.user)}`;
    return type === "reply" ? "" : `[${type}]`;
  });
  return texts.join("").slice(0, 200);
}

// What a person typed → segments: "@name" of somebody known becomes a mention, the longest first.
export function segmentsOf(text, names) {
  const known = [...names.keys()].sort((a, b) => b.length - a.length);
  const segments = [];
  let plainFrom = 0;
  for (let at = text.indexOf("@"); at >= 0; at = text.indexOf("@", at + 1)) {
    const begins = at === 0 || /[\s\p{P}]/u.test(text[at - 1]);
    const rest = text.slice(at + 1);
    const name = begins && known.find((n) => rest.startsWith(n) && !/^[\p{L}\p{N}_]/u.test(rest.slice(n.length)));
    if (!name) continue;
    if (at > plainFrom) segments.push({ type: "text", data: { text: text.slice(plainFrom, at) } });
    segments.push({ type: "mention", data: { user: names.get(name) } });
    plainFrom = at + 1 + name.length;
  }
  if (plainFrom < text.length) segments.push({ type: "text", data: { text: text.slice(plainFrom) } });
  return segments;
}

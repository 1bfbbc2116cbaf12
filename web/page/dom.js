// Elements, made of a name, attributes and children. Strings become text nodes and nothing else.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// Change only what differs: selections and focus stay where they are.
export function say(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

export function field(words, input) {
  return element("label", {}, words, input);
}

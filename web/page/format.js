// Figures and texts as people read them. Whatever a client named is only ever put into text nodes.

const units = ["", "k", "M", "G", "T"];

export function count(value) {
  if (!Number.isFinite(value)) return "–";
  let unit = 0;
  while (Math.abs(value) >= 10_000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit > 0 || !Number.isInteger(value) ? (Math.abs(value) < 100 ? 1 : 0) : 0;
  return value.toFixed(digits) + (unit ? " " + units[unit] : "");
}

export function bytes(value) {
  if (!Number.isFinite(value)) return "–";
  const names = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < names.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(unit && value < 100 ? 1 : 0)} ${names[unit]}`;
}

export const perSecond = (value) => `${count(value)}/s`;

export const bytesPerSecond = (value) => `${bytes(value)}/s`;

// Control and direction characters would make a text look like another one.
const unseen = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const LONGEST = 300;

export function text(value) {
  const all = String(value ?? "");
  const cut = all.length > LONGEST ? all.slice(0, LONGEST) + "…" : all;
  return cut.replace(unseen, (c) => "\\u" + c.codePointAt(0).toString(16).padStart(4, "0"));
}

// A payload may have lines; what would be taken for something else is shown as an escape.
export function payload(value, longest = 4096) {
  const all = String(value);
  const cut = all.length > longest ? `${all.slice(0, longest)}… (${all.length} characters)` : all;
  return cut.replace(unseen, (c) => c === "\n" || c === "\t" ? c
    : "\\u" + c.codePointAt(0).toString(16).padStart(4, "0"));
}

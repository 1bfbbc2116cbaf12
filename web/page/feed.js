// What the server tells, asked for again and again while somebody looks.

const AGAIN_MS = 1000;
const LATE_MS = 5000;

// The page is at <base path>/ui, so the endpoints are its siblings.
export async function ask(path) {
  const answer = await fetch("." + path, {
    cache: "no-store",
    signal: AbortSignal.timeout(LATE_MS),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}

export async function askJson(path) {
  return (await ask(path)).json();
}

// Call back with what `look` found, each second, as long as the page is visible. Returns how to end it.
export function follow(look, found, lost, everyMs = AGAIN_MS) {
  let ended = false;
  let timer = 0;
  let looking = false;

  async function round() {
    clearTimeout(timer);
    if (ended || looking || document.hidden) return;
    looking = true;
    const begun = performance.now();
    try {
      const seen = await look();
      if (!ended) found(seen);
    } catch (error) {
      if (!ended) lost(error);
    }
    looking = false;
    if (!ended) timer = setTimeout(round, Math.max(50, everyMs - (performance.now() - begun)));
  }

  document.addEventListener("visibilitychange", round);
  round();
  return {
    now: round,
    end() {
      ended = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", round);
    },
  };
}

// Counters to rates: what has been counted since the look before, per second.
export class Rates {
  #before = new Map();

  // of: an object of counters; key tells apart whose they are. A counter that went back began anew.
  of(key, counters, atMs) {
    const before = this.#before.get(key);
    this.#before.set(key, { counters, atMs });
    const rates = {};
    for (const [name, value] of Object.entries(counters)) {
      const since = before?.counters[name];
      const seconds = before ? (atMs - before.atMs) / 1000 : 0;
      rates[name] = since === undefined || seconds <= 0 || value < since ? 0 : (value - since) / seconds;
    }
    return rates;
  }

  keepOnly(keys) {
    const wanted = new Set(keys);
    for (const key of this.#before.keys()) {
      if (!wanted.has(key)) this.#before.delete(key);
    }
  }
}

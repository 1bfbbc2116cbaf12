// What the browser runs; esbuild makes page.js of it.

import { runChecks } from "./checks.mjs";

const post = async (path, body) => {
  const answer = await fetch(path, { method: "POST", body: JSON.stringify(body ?? {}) });
  if (!answer.ok) throw new Error(await answer.text());
};
const world = await (await fetch("/world")).json();
await runChecks({ ...world, restart: () => post("/restart") },
  (name, wrong) => post("/report", { name, wrong }));
await post("/end");

// wsconnect in Node.js, whose WebSocket is that of the ws package.

import { WebSocket } from "ws";
import { runChecks } from "./checks.mjs";
import { restart, say, world } from "./runner.mjs";

globalThis.WebSocket = WebSocket;
await runChecks({ ...world, restart }, say);
process.exit(0);

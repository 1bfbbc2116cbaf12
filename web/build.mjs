// Makes built/ of page/: what pipit-server has inside. Run `make page` after a change in page/.

import { build } from "esbuild";
import { copyFile } from "node:fs/promises";

await build({
  entryPoints: ["page/page.js", "page/page.css", "page/console_client.js"],
  outdir: "built",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  external: ["./console_client.js"],
  legalComments: "eof",
});
await copyFile("page/page.html", "built/page.html");

// Says what the first load of the dashboard weighs, and fails if that is too much: a page on which one waits isn't opened.
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { dist } from "./places.js";

/** Bytes of all that the overview needs, compressed by gzip, which is more than by Brotli. */
const firstLoadMax = 150_000;
const manifest = JSON.parse(readFileSync(join(dist, ".vite/manifest.json"), "utf8"));

/** The files that a module needs before it runs. */
function needs(key, found = new Set()) {
  const entry = manifest[key];
  if (!entry || found.has(entry.file)) return found;
  found.add(entry.file);
  for (const style of entry.css ?? []) found.add(style);
  for (const other of entry.imports ?? []) needs(other, found);
  return found;
}

const weigh = (file, ending) => {
  try {
    return statSync(join(dist, `${file}.${ending}`)).size;
  } catch {
    return statSync(join(dist, file)).size;
  }
};
const sum = (files, ending) => [...files].reduce((total, file) => total + weigh(file, ending), 0);
const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;

const first = needs("index.html");
for (const file of needs("src/pages/Overview.svelte")) first.add(file);
for (const file of ["index.html", "theme.js", "icon.svg"]) first.add(file);
const gzip = sum(first, "gz");
const all = new Set(Object.values(manifest).flatMap((entry) => [entry.file, ...(entry.css ?? [])]));

console.log(`first load: ${kilobytes(gzip)} by gzip, ${kilobytes(sum(first, "br"))} by Brotli, ${first.size} files`);
console.log(`all pages: ${kilobytes(sum(all, "gz"))} by gzip`);
if (gzip > firstLoadMax) {
  console.error(`the first load is larger than ${kilobytes(firstLoadMax)}`);
  process.exit(1);
}

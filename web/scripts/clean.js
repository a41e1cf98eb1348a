// Removes what was built before. The folder itself and its .gitignore stay: cargo looks at them.
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { dist } from "./places.js";

for (const name of readdirSync(dist)) {
  if (name !== ".gitignore") rmSync(join(dist, name), { recursive: true });
}

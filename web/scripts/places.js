// Where things are.
import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

/** What is built goes into the crate that embeds it. */
export const dist = at("../../server/ui/dist");
export const specification = at("../../api/openapi.json");
export const schema = at("../src/api/schema.d.ts");

// Builds the dashboard: empties the folder, bundles, compresses, and weighs the first load. `npm run build`.
import { build } from "vite";

await import("./clean.js");
await build({ logLevel: "warn" });
await import("./compress.js");
await import("./budget.js");

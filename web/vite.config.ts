// How the dashboard is built: modules with hashed names, and nothing inline that a strict policy forbids.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// `light-dark()` must stay as it is: what it would be lowered to doesn't follow the theme switch.
const browsers = ["chrome123", "firefox120", "safari17.5"];

export default defineConfig({
  plugins: [svelte()],
  build: {
    outDir: "../server/ui/dist",
    // scripts/clean.js empties it.
    emptyOutDir: false,
    target: browsers,
    cssTarget: browsers,
    // A small picture or module that became a data: address would be refused by the policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    manifest: true,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  server: { proxy: { "/api": process.env["KEEPFAST_URL"] ?? "http://127.0.0.1:8484" } },
});

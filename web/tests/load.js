// Modules of the dashboard for tests without a browser.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { build } from "vite";

/** A module of the dashboard, as a program of Node: its state is plain values, and nothing is rendered. */
export async function load(entry) {
  const [built] = [
    await build({
      configFile: false,
      logLevel: "silent",
      plugins: entry.endsWith(".svelte.ts") ? [svelte({ configFile: false })] : [],
      ssr: { noExternal: true },
      build: { write: false, ssr: entry, rollupOptions: { external: [] } },
    }),
  ].flat();
  return import(`data:text/javascript,${encodeURIComponent(built.output[0].code)}`);
}

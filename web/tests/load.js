// Modules of the dashboard for tests without a browser.
import { build } from "vite";

/** A module of the dashboard, as a program of Node. */
export async function load(entry) {
  const [built] = [
    await build({
      configFile: false,
      logLevel: "silent",
      build: { write: false, ssr: entry, rollupOptions: { external: [] } },
    }),
  ].flat();
  return import(`data:text/javascript,${encodeURIComponent(built.output[0].code)}`);
}

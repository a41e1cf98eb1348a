// A test in a browser: a server of its own, a page of it, and the end of both, whatever becomes of the test.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { accessibility, open } from "./browser.js";
import { start } from "./fixture/server.js";

const patience = Number(process.env.PATIENCE_MS ?? 20_000);
const options = { timeout: 10 * patience };

/** The browser of a file of tests, and the ways to write one. */
export function browsing(screen) {
  const own = { browser: undefined };
  const servers = new Set();
  before(async () => (own.browser = await open(screen)), options);
  // A test that took too long has left what it had opened.
  after(async () => {
    await own.browser?.close();
    await Promise.all([...servers].map((server) => server.stop()));
  });

  /** A test that may open several servers and pages. They are closed when it ends, and when its time is over. */
  function scene(name, steps) {
    test(name, options, async ({ signal }) => {
      const pages = [];
      const mine = [];
      const opened = {
        browser: own.browser,
        /** Its time is over. */
        signal,
        async page() {
          const page = await own.browser.page();
          pages.push(page);
          return page;
        },
        async start(wanted) {
          const server = await start(wanted);
          mine.push(server);
          servers.add(server);
          return server;
        },
      };
      const close = async () => {
        await Promise.allSettled(pages.map((page) => page.close()));
        await Promise.allSettled(mine.map((server) => server.stop()));
        mine.forEach((server) => servers.delete(server));
      };
      // What waits for something on a page fails when the page is closed: so the test ends, too.
      signal.addEventListener("abort", () => void close());
      try {
        own.browser.complaints.length = 0;
        await steps(opened);
      } finally {
        await close();
      }
    });
  }

  /** A test with a page of a server. It asks axe at its end, and fails if the browser complained about anything. */
  function visit(name, wanted, steps) {
    scene(name, async (opened) => {
      const server = await opened.start(wanted);
      const page = await opened.page();
      await page.goto(`${server.url}${wanted.path ?? "/"}`);
      await page.waitForSelector("h1");
      await steps(page, server, opened);
      assert.deepEqual(await accessibility(page), []);
      assert.deepEqual(own.browser.complaints, []);
    });
  }

  return { scene, visit };
}

export const heading = (page, name) => page.getByRole("heading", { level: 1, name }).waitFor();

// Tests of the dashboard with the real program: a server and a browser for all tests of a file, pages that end with their
// test, and what holds for each page that is looked at.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { accessibility, open } from "../browser.js";
import { anna, patience, Program } from "./program.js";

/** Where pictures of the pages go, in both themes and on a phone, if anyone wants them. */
const shots = process.env.KEEPFAST_SHOTS;
const screens = [
  ["light", { width: 1360, height: 900 }, "light"],
  ["dark", { width: 1360, height: 900 }, "dark"],
  ["phone", { width: 390, height: 844 }, "light"],
];
const options = { timeout: 12 * patience };

async function picture(page, name) {
  const before = page.viewportSize();
  mkdirSync(shots, { recursive: true });
  for (const [screen, size, colorScheme] of screens) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${name} on ${screen} is wider than the screen by ${overflow} px`);
    await page.screenshot({ path: join(shots, `${name}-${screen}.png`), fullPage: true, timeout: 9 * patience });
  }
  await page.setViewportSize(before);
  await page.emulateMedia({ colorScheme: null });
}

/** A server and a browser, and the way to write a test with both. */
export function staging(prepare = async () => undefined) {
  const own = {};
  before(async () => {
    own.program = await Program.prepare();
    await own.program.start();
    own.browser = await open({ width: 1280, height: 800 });
    await prepare(own.program);
  }, options);
  after(async () => {
    await own.browser?.close();
    await own.program?.stop();
  }, options);

  return function scene(name, steps) {
    test(name, options, async ({ signal }) => {
      const { browser, program } = own;
      const pages = [];
      const close = () => Promise.allSettled(pages.map((page) => page.close()));
      // What waits for something on a page fails when the page is closed: so the test ends, too.
      signal.addEventListener("abort", () => void close());
      const stage = {
        program,
        url: program.url,
        async page(path = "/") {
          const page = await browser.page();
          pages.push(page);
          await page.goto(program.url + path);
          await page.waitForSelector("h1");
          return page;
        },
        /** A page of someone who is signed in. */
        async inside(path = "/", who = anna) {
          const page = await stage.page(path);
          await signIn(page, who);
          return page;
        },
        /** What must hold for a page that is shown: no barriers, and nothing that the browser complains about. */
        async look(page, name, { below = false, alert = false } = {}) {
          if (!alert) assert.deepEqual(await page.getByRole("alert").allInnerTexts(), [], name);
          assert.deepEqual(await accessibility(page, { except: below ? ["target-size"] : [] }), [], name);
          assert.deepEqual(browser.complaints, [], name);
          if (shots) await picture(page, name);
        },
      };
      browser.complaints.length = 0;
      await browser.context.clearCookies();
      try {
        await steps(stage);
        assert.deepEqual(browser.complaints, []);
      } finally {
        await close();
      }
    });
  };
}

export async function signIn(page, { user, password }) {
  await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
  await page.getByLabel("User").fill(user);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("navigation", { name: "Pages" }).first().waitFor();
}

export async function signOut(page) {
  await page.getByRole("button", { name: /^Signed in as/ }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByRole("heading", { level: 1, name: "Sign in" }).waitFor();
}

export const heading = (page, name) => page.getByRole("heading", { level: 1, name }).waitFor();

/** A page that is loaded again has forgotten this. */
export const remember = (page) => page.evaluate(() => void (window.remembered = true));
export const remembers = (page) => page.evaluate(() => window.remembered === true);

// A real browser for the tests: Debian's Chromium, driven by playwright-core, with nothing fetched from elsewhere.
import { createRequire } from "node:module";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const axe = require.resolve("axe-core/axe.min.js");

export async function open({ width = 1280, height = 800, theme = "light", reducedMotion = "reduce" } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "keepfast-browser-"));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: [
      "--no-sandbox",
      "--headless=new",
      "--disable-gpu",
      // Containers have little of it.
      "--disable-dev-shm-usage",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
    viewport: { width, height },
    colorScheme: theme,
    reducedMotion,
    timezoneId: "Europe/Paris",
    locale: "en-GB",
  });
  process.once("exit", () => end(folder));
  const complaints = [];
  const watch = (page) => {
    // A machine that is busy otherwise needs more.
    page.setDefaultTimeout(Number(process.env.PATIENCE_MS ?? 20_000));
    page.on("console", (message) => {
      // Answers that say no are part of the tests; what the policy refuses and what throws isn't.
      if (message.type() === "error" && !message.text().includes("Failed to load resource")) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    return page;
  };
  context.on("page", watch);
  return {
    context,
    /** What the browser has complained about: errors, and what the policy refused. */
    complaints,
    async page() {
      return watch(await context.newPage());
    },
    /** Ends it, also if it answers no more: a browser that is left behind keeps Node from ending. */
    async close() {
      const deadline = new Promise((late) => setTimeout(late, 10_000).unref());
      await Promise.race([context.close().catch(() => undefined), deadline]);
      end(folder);
    },
  };
}

/** Kills what is left of a browser: all its processes have its folder in their arguments. */
function end(folder) {
  for (const id of (process.platform === "linux" ? readdirSync("/proc") : []).filter((name) => /^\d+$/.test(name))) {
    try {
      if (readFileSync(`/proc/${id}/cmdline`, "utf8").includes(folder)) process.kill(Number(id), "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}

/** What axe finds wrong with a page, by WCAG 2.2 AA. What lies below something that is open is too small for it. */
export async function accessibility(page, { except = [] } = {}) {
  if (!(await page.evaluate(() => "axe" in window))) {
    // Handed in through the debugger's channel: the page's policy forbids scripts from elsewhere.
    const { readFileSync } = await import("node:fs");
    await page.evaluate(readFileSync(axe, "utf8") + ";0");
  }
  const result = await page.evaluate(() =>
    window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
  );
  return result.violations.filter((violation) => !except.includes(violation.id)).map(
    (violation) => `${violation.id}: ${violation.nodes.map((node) => `${node.target.join(" ")} (${node.failureSummary?.split("\n")[1]?.trim()})`).slice(0, 4).join("; ")}`,
  );
}

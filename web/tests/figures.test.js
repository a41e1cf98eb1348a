// Figures over time, storage and cost, searches of logs, previews of prunes, as a user sees them.
import assert from "node:assert/strict";
import { accessibility } from "./browser.js";
import { browsing, heading } from "./visit.js";

const { scene, visit } = browsing();
const asked = (server, part) => server.requests.filter((request) => request.includes(part));

visit("analytics says in a sentence how many backups made a snapshot, and a table says what a chart shows", { path: "/analytics" }, async (page, server) => {
  await page.getByText(/^9\d(\.\d)?% of 330 backups that were due made a snapshot\.$/).waitFor();
  const chart = page.getByRole("region", { name: "What came of backups" }).first();
  await chart.getByText("As a table").click();
  const rows = chart.locator("tbody tr");
  assert.equal(await rows.count(), 30);
  assert.match(await rows.first().innerText(), /\d+\s+\d/);
  // The newest day is said above the chart; its verdicts lead to its runs.
  const link = chart.getByRole("link", { name: "Ok" });
  assert.match(await link.getAttribute("href"), /^\/runs\?day=\d{4}-\d\d-\d\d&verdict=ok$/);
  const unusual = page.getByRole("region", { name: "Unlike what is usual" });
  assert.match(await unusual.locator("li").first().innerText(), /Beyond its limit[\s\S]*shop-db took 2 h 15 min[\s\S]*usually 25 min · 5\.40 ×/);
  assert.equal(await unusual.locator("li").count(), 3, "what is usual isn't listed");
  assert.ok(asked(server, "/analytics?").every((request) => /by=day/.test(request)));
});

visit("the period is chosen by the keyboard, or by two days, and the plan by a list", { path: "/analytics" }, async (page, server) => {
  await page.getByRole("radio", { name: "30 days" }).focus();
  await page.keyboard.press("ArrowRight");
  await page.waitForURL(/period=90/);
  assert.equal(await page.getByRole("radio", { name: "90 days" }).isChecked(), true);
  await page.getByRole("radio", { name: "1 year" }).check({ force: true });
  await page.getByText(/^Week from /).first().waitFor();
  await page.getByRole("radio", { name: "Own" }).check({ force: true });
  await page.getByLabel("From", { exact: true }).fill("2026-10-01");
  await page.getByLabel("Until", { exact: true }).fill("2026-10-10");
  await page.getByText(/ of 110 backups/).waitFor();
  await page.getByRole("combobox", { name: "Plan", exact: true }).selectOption("www");
  await page.getByText(/ of 10 backups/).waitFor();
  const last = asked(server, "/analytics?").find((request) => request.includes("from=2026-10-01&until=2026-10-10") && request.includes("plan=www"));
  assert.ok(last, asked(server, "/analytics?").join("\n"));
  await page.getByRole("button", { name: "Export", exact: true }).click();
  const csv = await page.getByRole("menuitem", { name: "CSV" }).getAttribute("href");
  assert.match(csv, /^\/api\/v1\/analytics\/points\.csv\?from=2026-10-01&until=2026-10-10&by=day&plan=www/);
  const json = await page.getByRole("menuitem", { name: "JSON" }).getAttribute("href");
  assert.equal(json, csv.replace("points.csv", "points.json"));
  await page.keyboard.press("Escape");
});

visit("plans are sorted by a press on a heading", { path: "/analytics" }, async (page) => {
  const plans = page.getByRole("region", { name: "Plans" });
  const column = plans.getByRole("columnheader", { name: "New data" });
  await column.getByRole("button").click();
  assert.equal(await column.getAttribute("aria-sort"), "descending");
  const sizes = await plans.locator("tbody tr td:nth-child(6)").allInnerTexts();
  const bytes = sizes.map((text) => parseFloat(text) * 1024 ** ["B", "KiB", "MiB", "GiB", "TiB"].indexOf(text.split(" ")[1]));
  assert.deepEqual(bytes, bytes.toSorted((one, other) => other - one));
  await column.getByRole("button").press("Enter");
  assert.equal(await column.getAttribute("aria-sort"), "ascending");
});

visit("storage says when a repository is full, between which days, and what can be done", { path: "/storage" }, async (page) => {
  const advice = page.getByRole("region", { name: "What can be done" });
  assert.match(await advice.locator("li").first().innerText(), /Urgent\s+offsite\s+Its file system is full in 19 days/);
  // The one that is full first is shown.
  await page.getByRole("region", { name: "Storage of offsite" }).first().waitFor();
  await page.getByText(/^between \d+ Dec 2026 and \d+ Dec 2026$/).waitFor();
  await page.getByRole("button", { name: "main", exact: true }).press("Enter");
  await page.getByRole("region", { name: "Storage of main" }).first().waitFor();
  const who = page.getByRole("region", { name: "Who takes how much" });
  assert.match(await who.locator("tbody tr").first().innerText(), /home-anna\s+64%/);
  const cost = page.getByRole("region", { name: "Cost" });
  await cost.getByText("71.40 EUR").waitFor();
  // What would it cost elsewhere?
  await cost.getByLabel(/A gigabyte for a month/).fill("0.01");
  await cost.getByText("34.00 EUR").waitFor();
});

visit("a repository without a price, or without a measurement, says so", { path: "/storage?repository=archive" }, async (page) => {
  await page.getByText("The chart begins when figures of two days are there.").waitFor();
  await page.getByText(/Its definition has no price/).waitFor();
  assert.ok((await page.getByText("Not measured", { exact: true }).count()) > 1);
});

visit("logs are searched by level, plan and words, and say how far back was looked", { path: "/logs" }, async (page, server) => {
  await page.getByText("18,204 lines (2.96 MiB) were looked through, back to").waitFor();
  await page.getByLabel("Level").selectOption("error");
  await page.waitForURL(/level=error/);
  await page.waitForFunction(() => [...document.querySelectorAll("ol li")].every((line) => line.className.includes("error")));
  await page.getByLabel("Plan").selectOption("shop-db");
  await page.getByLabel("Time").selectOption("24");
  await page.getByRole("button", { name: "Export" }).click();
  const href = await page.getByRole("menuitem", { name: "CSV" }).getAttribute("href");
  await page.keyboard.press("Escape");
  assert.match(href, /^\/api\/v1\/logs\.csv\?level=error&plan=shop-db&from=20/);
  await page.getByLabel("Level").selectOption("");
  await page.getByLabel("Plan").selectOption("");
  server.state.elsewhere = 2;
  await page.getByRole("searchbox").fill("long ago");
  await page.getByText("No line is like this in what was looked through.").waitFor();
  await page.getByText("2 parts of logs are on backup-2, and aren't shown.").waitFor();
  await page.getByRole("button", { name: "Look further back" }).click();
  await page.getByText("something long ago").waitFor();
  await page.getByRole("searchbox").fill("nothing at all");
  await page.getByText("No line is like this", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Clear all filters" }).click();
  await page.getByText("snapshot 77e1c0de is stored").first().waitFor();
});

visit("a prune shows what it would free before it is begun", { path: "/repositories/main" }, async (page) => {
  await page.getByRole("button", { name: "Prune…" }).click();
  const dialog = page.getByRole("dialog", { name: "Prune main?" });
  await dialog.getByText(/The server is finding it out/).waitFor();
  await dialog.getByText("114 GiB").first().waitFor();
  assert.equal(
    await dialog.getByRole("img").getAttribute("aria-label"),
    "What becomes of each byte: Needed 2.89 TiB, Rewritten 41.0 GiB, Left unused 56.8 GiB, It frees 114 GiB",
  );
  await dialog.getByRole("button", { name: "Find it out again" }).click();
  await dialog.getByText(/The server is finding it out/).waitFor();
});

scene("pages of figures are whole in the dark and on a phone, and on an empty server", async (opened) => {
  const [full, empty] = [await opened.start(), await opened.start({ empty: true })];
  for (const [theme, width] of [["dark", 1280], ["light", 390], ["dark", 390]]) {
    const page = await opened.page();
    await page.emulateMedia({ colorScheme: theme });
    await page.setViewportSize({ width, height: 844 });
    for (const server of [full, empty]) {
      for (const path of ["/analytics", "/storage", "/logs"]) {
        await page.goto(`${server.url}${path}`);
        await page.waitForSelector("h1");
        await page.waitForFunction(() => !document.querySelector("[aria-busy]"));
        assert.deepEqual(await accessibility(page), [], `${path} ${theme} ${width}`);
        assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, `${path} on ${width} px is wider than the screen`);
      }
    }
    await page.close();
  }
  const page = await opened.page();
  await page.goto(`${empty.url}/storage`);
  await heading(page, "Storage and cost");
  await page.getByText("No repositories").waitFor();
});

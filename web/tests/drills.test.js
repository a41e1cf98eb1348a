// Drills, as a user sees them: what was proven, what failed, and why.
import assert from "node:assert/strict";
import { browsing } from "./visit.js";

const { visit } = browsing();

visit("drills are listed with what each has shown, and times beside their goals", { path: "/drills" }, async (page) => {
  const rows = page.getByRole("region", { name: "Drills" }).locator("tbody tr");
  await rows.first().waitFor();
  assert.equal(await rows.count(), 2);
  const shop = await rows.first().innerText();
  assert.match(shop, /shop-db[\s\S]*Failed[\s\S]*more than the goal of 45 min/);
  assert.match(await rows.last().innerText(), /www[\s\S]*Passed[\s\S]*goal 45 min/);
});

visit("a drill that failed says what was asked, expected and found, and its evidence can be downloaded", { path: "/drills/shop-db" }, async (page) => {
  const tested = page.getByRole("region", { name: "What was tested" });
  assert.match(await tested.innerText(), /select count\(\*\) from orders\s+12\s+\(expected: at least 1000\)/);
  const link = tested.getByRole("link", { name: "Download the evidence" });
  assert.match(await link.getAttribute("href"), /^\/api\/v1\/drills\/shop-db\/evidence\/[0-9a-f]+$/);
  const runs = page.getByRole("region", { name: "Runs" }).locator("tbody tr");
  await runs.first().waitFor();
  assert.equal(await runs.count(), 2);
  assert.match(await runs.last().innerText(), /Couldn't be tested/);
});

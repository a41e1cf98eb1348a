// Snapshots as a user works with them: facts and decisions, files, differences, retention.
import assert from "node:assert/strict";
import { accessibility } from "./browser.js";
import { browsing, heading } from "./visit.js";

const { visit } = browsing();
const phone = browsing({ width: 390, height: 844, theme: "dark" });

/** The newest snapshot of www but some, by its address. */
const pageOf = (server, at, more = "") => `${server.url}/snapshots/main/${server.state.snapshots[at].snapshot}${more}`;
const password = async (page) => {
  const dialog = page.getByRole("dialog", { name: "Your password again" });
  await dialog.getByLabel("Password").fill("correct horse battery");
  await page.keyboard.press("Enter");
};
const toast = (page, words) => page.getByRole("status").filter({ hasText: words });

visit("a snapshot is protected, tagged, forgotten, and brought back by the message that says so", { path: "/snapshots?plan=www" }, async (page, server) => {
  const shown = server.state.snapshots[5];
  await page.getByRole("link", { name: shown.time.slice(0, 8) }).nth(5).click();
  await heading(page, /^www, /);
  await page.getByText("Not protected").waitFor();
  await page.getByRole("button", { name: "Protect", exact: true }).click();
  await page.getByText("Protected", { exact: true }).waitFor();
  assert.ok(server.state.protected.has(shown.snapshot));
  assert.ok(await page.getByRole("button", { name: "Forget" }).isDisabled(), "a protected snapshot can't be forgotten");
  await page.getByRole("button", { name: "End protection" }).click();
  await password(page);
  await page.getByText("Not protected").waitFor();

  await page.getByLabel("New tag").fill("before the move");
  await page.getByRole("button", { name: "Add" }).click();
  await toast(page, "It has the tag before the move").waitFor();
  const tagged = server.state.snapshots.at(-1);
  assert.match(page.url(), new RegExp(`${tagged.snapshot}$`), "the snapshot in its place is shown");
  assert.deepEqual(tagged.tags, ["plan:www", "before-upgrade", "before the move"]);
  assert.equal(await page.getByText("plan:www").count(), 0, "labels of plans are no tags");

  await page.getByRole("button", { name: "Forget" }).click();
  await heading(page, "Snapshots");
  await toast(page, /www, .* is forgotten/).getByRole("button", { name: "Undo" }).click();
  await heading(page, /^www, /);
  await toast(page, /is back/).waitFor();
  assert.notEqual(server.state.snapshots.at(-1).snapshot, tagged.snapshot);
});

visit("a folder of a million files shows the rows on the screen, and is searched by its pages", { path: "/" }, async (page, server) => {
  await page.goto(pageOf(server, 5, "/files"));
  const grid = page.getByRole("grid");
  await grid.getByRole("link", { name: "srv", exact: true }).click();
  await grid.getByRole("link", { name: "www", exact: true }).click();
  await grid.getByRole("link", { name: "uploads", exact: true }).click();
  await grid.getByText("photo-0000000.jpg").waitFor();
  assert.ok((await grid.getByRole("row").count()) < 120, "only rows near the screen are in the page");
  await grid.focus();
  // The end of what is loaded brings more.
  await page.keyboard.press("End");
  await page.getByText("the first 1,000").waitFor();
  // A key that is pressed while rows come may still lead to the end that was there before: then it is pressed again. Each
  // time, more may be loaded.
  const end = grid.getByText(/photo-000(0999|[1-9][49]99)\.jpg/).first();
  for (let tries = 1; ; tries += 1) {
    await page.keyboard.press("End");
    if (await end.waitFor({ timeout: 5000 }).then(() => true, () => false)) break;
    assert.ok(tries < 10, "the end of what is loaded is never shown");
  }
  assert.ok((await grid.getByRole("row").count()) < 120);
  await page.keyboard.press("/");
  await page.keyboard.type("0012345");
  await grid.getByText("photo-0012345.jpg").waitFor();
  await page.getByText(/^1 found/).waitFor();
  await page.getByRole("navigation", { name: "Where" }).getByRole("link", { name: "srv", exact: true }).click();
  await grid.getByRole("link", { name: "mail", exact: true }).waitFor();
  assert.ok(!page.url().includes("search"), "the search is of one folder");
});

visit("a page of a long folder that couldn't be loaded is loaded when one asks for it", { path: "/" }, async (page, server) => {
  await page.route(/\/files\?.*after=500/, (route) => route.abort(), { times: 1 });
  await page.goto(pageOf(server, 5, "/files?path=/srv/www/uploads"));
  await page.getByText("the first 500").waitFor();
  await page.getByRole("grid").focus();
  await page.keyboard.press("End");
  await toast(page, "The server can't be reached").waitFor();
  await page.getByRole("button", { name: "Show more" }).click();
  await page.getByText("the first 1,000").waitFor();
});

visit("files are walked through by the keyboard, downloaded, and chosen for a restore", { path: "/" }, async (page, server) => {
  await page.goto(pageOf(server, 5, "/files?path=/srv"));
  const grid = page.getByRole("grid");
  await grid.getByText("www").waitFor();
  await grid.focus();
  const active = () => grid.evaluate((grid) => document.getElementById(grid.getAttribute("aria-activedescendant"))?.innerText);
  await page.keyboard.press("ArrowDown");
  assert.match(await active(), /^www/);
  await page.keyboard.press("Enter");
  await grid.getByText("robots.txt").waitFor();
  await page.keyboard.press("End");
  await page.keyboard.press("ArrowUp");
  assert.match(await active(), /^site\.js/);
  await page.keyboard.press(" ");
  const download = page.waitForEvent("download");
  await page.keyboard.press("Enter");
  assert.equal((await download).suggestedFilename(), "site.js");
  await page.keyboard.press("Home");
  await page.keyboard.press("Backspace");
  await page.waitForFunction(() => document.activeElement?.getAttribute("role") === "grid" && document.activeElement.innerText.includes("mail"));
  assert.match(await active(), /^www/, "the folder that one comes from is where one is");
  const folder = page.waitForEvent("download");
  await grid.getByRole("link", { name: "Download www" }).click();
  assert.equal((await folder).suggestedFilename(), "www.tar");
  const zip = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download", exact: true }).click();
  await page.getByRole("menuitem", { name: /^As zip/ }).click();
  assert.equal((await zip).suggestedFilename(), "srv.zip");
  await page.getByRole("link", { name: "Restore these…" }).click();
  await heading(page, "Restore of www");
  await page.getByText("/srv/www/site.js").waitFor();
});

visit("names of files are words, whatever they look like", { path: "/" }, async (page, server) => {
  await page.goto(pageOf(server, 5, "/files?path=/srv/www"));
  await page.getByText("<img src=x onerror=alert(1)>.html").waitFor();
  assert.equal(await page.locator("main img").count(), 0);
});

visit("who may not see names is told so, and shown none", { path: "/", role: "operator" }, async (page, server) => {
  await page.goto(pageOf(server, 5, "/files"));
  await page.getByText("You may not see names of files").waitFor();
  await page.getByRole("link", { name: "Changes" }).click();
  await page.getByText("You may not see names of files").waitFor();
  assert.ok(!server.requests.some((request) => /\/(files|diff)/.test(request)), "nothing is asked for that is refused");
});

visit("a viewer decides nothing about a snapshot", { path: "/", role: "viewer" }, async (page, server) => {
  await page.goto(pageOf(server, 5));
  await page.getByText("Not protected").waitFor();
  for (const name of ["Protect", "Forget", "Add"]) assert.equal(await page.getByRole("button", { name }).count(), 0, name);
  assert.equal(await page.getByRole("link", { name: "Restore…" }).count(), 0);
});

visit("differences are counted by kind, narrowed to kinds and folders, against any other snapshot", { path: "/" }, async (page, server) => {
  await page.goto(pageOf(server, 5, "/diff"));
  await page.getByRole("button", { name: /^Added 642/ }).waitFor();
  await page.getByRole("button", { name: /^Removed 3/ }).click();
  const grid = page.getByRole("grid");
  await grid.getByText("catalogue.pdf").waitFor();
  assert.equal(await grid.getByRole("row").count(), 4, "the head and what was removed");
  await grid.getByRole("link", { name: "/srv/www/archive/2024" }).first().click();
  await page.getByText("In /srv/www/archive/2024").waitFor();
  await page.getByRole("combobox", { name: "Compare with" }).selectOption(server.state.snapshots[0].snapshot);
  await page.waitForURL(/with=/);
  // The older one of the two is always the first.
  const asked = () => server.requests.findLast((request) => request.includes("/diff?"));
  await page.getByRole("button", { name: /^Added 642/ }).waitFor();
  assert.match(asked(), new RegExp(`${server.state.snapshots[5].snapshot}/diff\\?with=${server.state.snapshots[0].snapshot}`));
});

visit("two snapshots that are the same are said to be so", { path: "/" }, async (page, server) => {
  server.state.sameFiles = true;
  await page.goto(pageOf(server, 5, "/diff"));
  await page.getByText("Nothing is different").waitFor();
});

visit("each snapshot says what keeps it, and until when", { path: "/snapshots?plan=www" }, async (page, server) => {
  const newest = server.state.snapshots.find((one) => one.plan === "www");
  const row = page.getByRole("row").filter({ hasText: newest.snapshot.slice(0, 8) });
  await row.getByText("last 1 of 3").waitFor();
  await page.goto(`${server.url}/snapshots`);
  await page.getByRole("row").nth(1).waitFor();
  assert.equal(await page.getByRole("columnheader", { name: "Kept until" }).count(), 0, "of all plans, none is asked");
  await page.goto(`${server.url}/snapshots/main/${newest.snapshot}`);
  await page.getByText("last 1 of 3").waitFor();
  await page.getByText("if all runs until then are good").waitFor();
  await page.getByRole("button", { name: "Protect", exact: true }).click();
  await page.getByText("its protection ends").waitFor();
});

visit("other numbers are tried on a plan's snapshots, and nothing is changed", { path: "/plans/www" }, async (page, server) => {
  await page.getByRole("button", { name: "More for www" }).click();
  await page.getByRole("menuitem", { name: "Retention" }).click();
  await heading(page, "Retention of www");
  await page.getByText("These are the plan's numbers.").waitFor();
  await page.getByLabel("Daily, as a number").fill("2");
  await page.keyboard.press("Tab");
  await page.getByRole("region", { name: "With these numbers" }).waitFor();
  await page.getByText("retention = { last = 3, daily = 2, weekly = 8, at_least = 3 }").waitFor();
  await page.getByLabel("Only what differs").check();
  await page.getByRole("grid").getByText("goes at the next run").first().waitFor();
  await page.reload();
  await page.getByRole("region", { name: "With these numbers" }).waitFor();
  assert.equal(await page.getByLabel("Daily, as a number").inputValue(), "2", "the address keeps the numbers");
  await page.getByLabel("Within").fill("a while");
  await page.getByText("A number and a unit: h, d, w, mo or y").waitFor();
  await page.getByRole("button", { name: "Back to the plan's" }).click();
  await page.getByText("These are the plan's numbers.").waitFor();
  assert.ok(server.requests.every((request) => request.startsWith("GET ")), "nothing is changed");
});

for (const [what, path] of [
  ["a snapshot", ""],
  ["its files", "/files?path=/srv/www"],
  ["its differences", "/diff"],
]) {
  phone.visit(`${what} fits on a phone in the dark`, { path: "/" }, async (page, server) => {
    await page.goto(pageOf(server, 5, path));
    await page.getByRole("grid").or(page.getByText("Not protected")).first().waitFor();
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
  });
}

phone.visit("retention fits on a phone in the dark", { path: "/plans/www/retention?try=1&daily=3&at_least=3" }, async (page) => {
  await page.getByRole("grid").waitFor();
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
  assert.deepEqual(await accessibility(page), []);
});

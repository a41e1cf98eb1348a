// What a user sees and does, in a real browser, against the fixture: states that a real server can't be made to be in at
// will. Each test also asks axe, and fails if the browser complained about anything, such as the policy.
import assert from "node:assert/strict";
import { accessibility } from "./browser.js";
import { browsing, heading } from "./visit.js";

const { scene, visit } = browsing();

visit("the first user is made with the token of the console", { signedIn: false, needsSetup: true }, async (page) => {
  await page.getByLabel("One-time token").fill("one-time");
  await page.getByLabel("User", { exact: true }).fill("anna");
  await page.getByLabel("Password", { exact: true }).fill("short");
  await page.getByText("A password has at least 12 characters").waitFor();
  await page.getByLabel("Password", { exact: true }).fill("correct horse battery");
  await page.getByLabel("Password again").fill("correct horse battery");
  await page.getByRole("button", { name: "Make the user and sign in" }).click();
  await heading(page, /plans keep/);
});

visit("a wrong password is told, and the right one leads to the page that was asked for", { signedIn: false, path: "/plans/www" }, async (page) => {
  await page.getByLabel("User").fill("anna");
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").filter({ hasText: "User, password or code is wrong" }).waitFor();
  await page.getByLabel("Password").fill("correct horse battery");
  await page.getByRole("button", { name: "Sign in" }).click();
  await heading(page, "www");
});

visit("a session that has ended leads to the sign-in, and back to the page", { path: "/plans" }, async (page, server) => {
  server.state.signedIn = false;
  await page.getByRole("link", { name: "Runs", exact: true }).first().click();
  await page.getByText("Your session has ended").waitFor();
  await page.getByLabel("User").fill("anna");
  await page.getByLabel("Password").fill("correct horse battery");
  await page.getByRole("button", { name: "Sign in" }).click();
  await heading(page, "Runs");
});

visit("the verdict is one sentence, and names what breaks its promise", {}, async (page) => {
  await heading(page, "7 of 9 plans keep their promise.");
  const more = await page.locator(".verdict p").innerText();
  assert.match(more, /shop-db is overdue by 8 h/);
  assert.match(more, /No restore has been proven/);
});

visit("the matrix is moved in by the keyboard, and Enter opens the runs of the day", {}, async (page) => {
  const grid = page.getByRole("grid");
  await grid.waitFor();
  assert.equal(await grid.locator("a[tabindex='0'].ok, a[tabindex='0']").count(), 1, "one cell can be tabbed to");
  await grid.locator("td a[tabindex='0']").focus();
  const label = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
  assert.match(await label(), /^www, /);
  await page.keyboard.press("ArrowDown");
  await page.waitForFunction(() => document.activeElement.getAttribute("aria-label")?.startsWith("shop-db, "));
  assert.match(await label(), /Missed \(1 missed\)$/);
  await page.keyboard.press("Home");
  await page.waitForFunction(() => !document.activeElement.getAttribute("aria-label")?.includes("Missed"));
  await page.keyboard.press("End");
  await page.keyboard.press("ArrowLeft");
  await page.waitForFunction(() => document.activeElement.getAttribute("aria-label")?.includes("Failed"));
  await page.keyboard.press("Enter");
  await heading(page, "Runs");
  assert.match(page.url(), /\/runs\?plan=shop-db&day=\d{4}-\d\d-\d\d$/);
  await page.getByRole("button", { name: /^On / }).waitFor();
});

visit("the form of a plan writes its definition and shows its next instants", { path: "/plans" }, async (page) => {
  await page.getByRole("button", { name: "New plan" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("not a name");
  await dialog.getByText("Letters, digits, - and _ only").waitFor();
  await dialog.getByLabel("Name").fill("web-2");
  await dialog.getByLabel("What to back up").fill('/srv/"quoted"\n/etc');
  await dialog.getByText("Weekly", { exact: true }).click();
  await dialog.getByRole("button", { name: "Sunday" }).click();
  await dialog.getByLabel("at", { exact: true }).fill("04:05");
  await dialog.getByText("2026", { exact: false }).first().waitFor();
  const toml = await dialog.locator("pre").innerText();
  assert.match(toml, /^\[plan\.web-2\]$/m);
  assert.ok(toml.includes('files = ["/srv/\\"quoted\\"", "/etc"]'), toml);
  assert.ok(toml.includes('cron = "5 4 * * 0,1"'), toml);
  await dialog.getByText("Cron", { exact: true }).click();
  await dialog.getByLabel("Cron expression").fill("30 1 *");
  await dialog.getByText("a cron expression has five fields").first().waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
});

visit("a run is started once, seen live in two tabs over one stream, and cancelled in one", { path: "/plans/www" }, async (page, server, opened) => {
  await page.getByRole("button", { name: "Run now" }).click();
  await heading(page, "Backup of www");
  const other = await opened.page();
  await other.goto(page.url());
  await other.getByRole("heading", { name: "Backup of www" }).waitFor();
  await other.getByText("Live", { exact: true }).waitFor();
  assert.equal(server.streams.size, 1, "tabs share one stream");
  const run = server.state.runs[0];
  for (const tab of [page, other]) await tab.getByText("Running", { exact: true }).waitFor();
  server.tell("run.progress", {
    run: run.run,
    plan: "www",
    phase: "backup",
    progress: { files: 7, files_expected: null, bytes: 2 ** 30, bytes_expected: 2 ** 32, bytes_per_s: 2 ** 20, left_s: 3072 },
  });
  for (const tab of [page, other]) {
    await tab.getByText("1.00 GiB of 4.00 GiB").waitFor();
    await tab.getByText("about 51 min").waitFor();
    assert.equal(await tab.getByRole("progressbar").getAttribute("aria-valuenow"), "25");
  }
  await other.getByRole("button", { name: "Cancel" }).click();
  await other.getByText("The run ends within seconds").waitFor();
  for (const tab of [page, other]) await tab.getByText("Cancelled", { exact: true }).first().waitFor();
  await other.getByRole("button", { name: "Run again" }).waitFor();
  assert.deepEqual(await accessibility(other), []);
  await other.close();
  assert.equal(server.requests.filter((request) => request === "POST /runs").length, 1);
});

scene("a tab goes on when the tab that read the stream is closed", async (opened) => {
  const server = await opened.start();
  const [first, second] = [await opened.page(), await opened.page()];
  for (const page of [first, second]) {
    await page.goto(`${server.url}/runs`);
    await page.getByText("Live", { exact: true }).waitFor();
  }
  const taken = server.nextStream(opened.signal);
  await first.close();
  await taken;
  Object.assign(server.state.runs[0], { state: "ended", verdict: "failed" });
  server.tell("run.ended", { run: server.state.runs[0].run });
  await second.locator("tbody tr").first().getByText("Failed").waitFor();
});

visit("a viewer is offered nothing that a viewer may not", { path: "/plans/www", role: "viewer" }, async (page, server) => {
  await heading(page, "www");
  await page.getByText("Keeps its promise").waitFor();
  assert.equal(await page.getByRole("button", { name: "Run now" }).count(), 0);
  await page.getByRole("button", { name: "More for www" }).click();
  assert.deepEqual(await page.getByRole("menuitem").allInnerTexts(), ["Its runs", "Its snapshots", "Retention"]);
  await page.keyboard.press("Escape");
  await page.goto(`${server.url}/plans`);
  await page.getByRole("link", { name: "shop-db" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "New plan" }).count(), 0);
});

visit("a plan is paused with a reason, and goes on", { path: "/plans/www" }, async (page, server) => {
  await page.getByRole("button", { name: "More for www" }).click();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Home");
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Why").fill("new disk");
  await dialog.getByRole("button", { name: "Pause…" }).click();
  await page.getByText(/Paused by anna/).waitFor();
  assert.equal(server.state.plans[0].pause.reason, "new disk");
  await page.getByRole("button", { name: "More for www" }).click();
  await page.getByRole("menuitem", { name: "Resume" }).click();
  await page.getByText("www goes on").waitFor();
});

visit("problems are acknowledged, and the count beside the page's name follows", { path: "/problems" }, async (page) => {
  await page.getByText("2 problems that no one has acknowledged").first().waitFor({ state: "attached" });
  await page.getByRole("button", { name: "Acknowledge" }).first().click();
  await page.getByText(/acknowledged by anna/).first().waitFor();
  await page.getByText("1 problem that no one has acknowledged").first().waitFor({ state: "attached" });
});

visit("a notification that comes is a toast, and the bell counts it", { path: "/plans" }, async (page, server) => {
  await page.getByText("Live", { exact: true }).waitFor();
  server.state.notifications.unshift({
    notification: 10,
    at: new Date().toISOString(),
    kind: "run.ended",
    tone: "error",
    subject: "plan:mail",
    summary: "it went wrong",
    advice: null,
    run: server.state.runs[3].run,
    problem: null,
    is_read: false,
  });
  server.tell("run.ended", { run: server.state.runs[3].run });
  await page.getByRole("status").filter({ hasText: "mail: a run went wrong" }).waitFor();
  // Two of before, this one, and a request that waits for this user: that is no news which one has read.
  await page.getByRole("button", { name: "Notifications: 4 unread" }).click();
  await page.getByRole("button", { name: "Mark all as read" }).click();
  await page.getByRole("button", { name: "Notifications: 1 unread" }).waitFor();
  assert.deepEqual(await accessibility(page, { except: ["target-size"] }), []);
  await page.keyboard.press("Escape");
});

visit("what is dangerous needs the password again, and then goes on", { path: "/repositories/main" }, async (page, server) => {
  await page.getByRole("button", { name: "Prune…" }).click();
  await page.getByRole("dialog", { name: "Prune main?" }).getByRole("button", { name: "Prune…" }).click();
  const dialog = page.getByRole("dialog", { name: "Your password again" });
  await dialog.getByLabel("Password").fill("wrong");
  await page.keyboard.press("Enter");
  await dialog.getByText("User, password or code is wrong").waitFor();
  await dialog.getByLabel("Password").fill("correct horse battery");
  await page.keyboard.press("Enter");
  await heading(page, "Prune of main");
  assert.equal(server.state.runs[0].kind, "prune");
});

visit("names with markup are words", { path: "/plans" }, async (page, server) => {
  const name = '<img src=x onerror="alert(1)">&amp;';
  server.state.plans[0].plan = name;
  server.state.plans[0].description = "<b>bold</b>";
  await page.reload();
  await page.getByRole("link", { name }).click();
  await heading(page, name);
  assert.equal(await page.locator("main img").count(), 0);
});

visit("a server that is gone and comes back is told, and the page loads again", { path: "/runs" }, async (page, server, opened) => {
  await page.getByText("Live", { exact: true }).waitFor();
  await server.stop();
  await page.getByText("Not live: connecting").waitFor();
  const again = await opened.start({ port: server.port });
  again.state.runs[0].plan = "came-back";
  await page.getByText("Live", { exact: true }).waitFor({ timeout: 20_000 });
  await page.getByRole("link", { name: "came-back" }).waitFor();
});

visit("anything is reached by a few letters", {}, async (page) => {
  await page.getByRole("grid").waitFor();
  await page.keyboard.press("Control+k");
  const dialog = page.getByRole("dialog", { name: "Go to…" });
  await dialog.getByRole("combobox").fill("shop");
  await dialog.getByRole("option", { name: /shop-db/ }).waitFor();
  await page.keyboard.press("Enter");
  await heading(page, "shop-db");
});

visit("the theme is chosen, and is there before the first paint of the next visit", {}, async (page) => {
  const dark = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await dark();
  await page.getByRole("button", { name: "Signed in as anna" }).click();
  await page.getByRole("menuitemradio", { name: "Dark theme" }).click();
  assert.notEqual(await dark(), light);
  await page.reload({ waitUntil: "commit" });
  await page.waitForFunction(() => document.documentElement.dataset.theme === "dark");
  await page.waitForSelector("h1");
  await page.getByRole("button", { name: "Signed in as anna" }).click();
  await page.getByRole("menuitemradio", { name: "System's theme" }).click();
  await page.keyboard.press("Escape");
});

visit("nothing moves while a page loads", { path: "/plans/www" }, async (page, server) => {
  const snapshot = `/snapshots/main/${server.state.snapshots[5].snapshot}`;
  const snapshots = [snapshot, `${snapshot}/files?path=/srv/www`, `${snapshot}/diff`, "/plans/www/retention", "/restore"];
  for (const path of ["/", "/plans", "/runs", "/plans/www", "/repositories/main", ...snapshots]) {
    await page.goto(`${server.url}${path}`);
    await page.waitForSelector("h1");
    await page.waitForTimeout(500);
    const shift = await page.evaluate(
      () =>
        new Promise((done) => {
          let sum = 0;
          new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) sum += entry.hadRecentInput ? 0 : entry.value;
          }).observe({ type: "layout-shift", buffered: true });
          setTimeout(() => done(sum), 100);
        }),
    );
    assert.ok(shift < 0.05, `${path} shifts by ${shift.toFixed(3)}`);
  }
});

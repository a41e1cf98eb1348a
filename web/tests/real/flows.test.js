// What people do with the dashboard, each way from its first page to what is on the disk afterwards, with the real program.
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { anna } from "./program.js";
import { heading, remember, remembers, signIn, signOut, staging } from "./stage.js";

/** What is backed up: names and bytes of all kinds. */
const tree = {
  "index.html": "<h1>All is well</h1>\n",
  "notes/ä name, with “odd” signs & 100%.txt": "no one reads this\n",
  "notes/binary": Buffer.from(Array.from({ length: 70_000 }, (_, at) => (at * 131) % 256)),
  "empty": "",
};

const scene = staging(async (program) => {
  mkdirSync(program.path("source/notes"));
  writeFileSync(program.path("endless"), "");
  for (const [name, bytes] of Object.entries(tree)) writeFileSync(program.path("source", name), bytes);
});

/** A plan that takes as long as it likes: its command follows a file that no one writes. */
const slow = (program) => `
[plan.slow]
repository = "main"
source     = [{ stream = { name = "slow", command = ["tail", "-f", "${program.path("endless")}"] } }]
`;
/** Whether the command of that plan is at work. */
const follows = (program) =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .some((id) => {
      try {
        return readFileSync(`/proc/${id}/cmdline`, "utf8") === `tail\0-f\0${program.path("endless")}\0`;
      } catch {
        // It has ended meanwhile.
        return false;
      }
    });
const wwwToml = (program) => `[plan.www]\nrepository = "main"\nsource     = [{ files = ["${program.path("source")}"] }]\nschedule   = { cron = "30 1 * * *" }\n`;

/** What a flow stands on, made if it isn't there: a plan, also a slow one, and a snapshot. */
async function furnish(program, { snapshot = false } = {}) {
  const client = await program.elsewhere();
  const plans = (await client.get("GET", "/plans")).items.map((one) => one.plan);
  if (!plans.includes("slow")) {
    program.define(slow(program));
    await client.get("POST", "/config/reload");
    await client.until("the server follows its file", "/plans", ({ items }) => items.some((one) => one.plan === "slow"));
  }
  if (!plans.includes("www")) await client.get("PUT", "/config/managed/plan-www", { text: wwwToml(program) }, { "If-None-Match": "*" });
  // A test that has failed may have left one that others would wait for.
  for (const { run, state } of (await client.get("GET", "/runs?limit=20")).items) {
    if (state !== "ended") await client.get("POST", `/runs/${run}/cancel`);
  }
  if (!snapshot) return client;
  const newest = async () => (await client.get("GET", "/snapshots?plan=www&limit=1")).items[0];
  if (!(await newest())) {
    await ended(client, await client.run("www"));
    await client.until("the list knows its snapshot", "/snapshots?plan=www&limit=1", ({ items }) => items.length > 0);
  }
  return Object.assign(client, { snapshot: await newest() });
}

const ended = (client, run) => client.until(`the end of ${run}`, `/runs/${run}`, (one) => one.state === "ended");
const at = (snapshot, more = "") => `/snapshots/${snapshot.repository}/${snapshot.snapshot}${more}`;

scene("the first user is made with the token that the server printed, and finds what to do first", async ({ page: open, program, look }) => {
  const page = await open("/");
  await heading(page, "Make the first user");
  await look(page, "first-user");
  await page.getByLabel("One-time token").fill("not this one");
  await page.getByLabel("User", { exact: true }).fill(anna.user);
  await page.getByLabel("Password", { exact: true }).fill(anna.password);
  await page.getByLabel("Password again").fill(anna.password);
  await page.getByRole("button", { name: "Make the user and sign in" }).click();
  await page.getByRole("alert").filter({ hasText: /token/ }).waitFor();
  await page.getByLabel("One-time token").fill(await program.token());
  for (const label of ["Password", "Password again"]) await page.getByLabel(label, { exact: true }).fill(anna.password);
  await page.getByRole("button", { name: "Make the user and sign in" }).click();
  await heading(page, "Nothing is backed up yet.");
  await page.getByText("1 of 4 done").waitFor();
  await look(page, "first-steps");
  for (const path of ["runs", "snapshots", "problems", "schedule", "analytics", "storage", "repositories", "notifications", "projects"]) {
    await page.goto(`${program.url}/${path}`);
    await page.waitForSelector("main h1");
    await page.waitForLoadState("networkidle");
    await look(page, `empty-${path}`);
  }
  await signOut(page);
  await signIn(page, anna);
});

scene("a plan is made in the form, and its run is followed in two tabs to its end", async ({ inside, page: open, program, look }) => {
  const client = await program.elsewhere();
  const page = await inside("/");
  await page.getByRole("button", { name: "New plan" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("www");
  await dialog.getByLabel("What to back up").fill(program.path("source"));
  await dialog.getByText("Can be followed").waitFor();
  await look(page, "new-plan", { below: true });
  await dialog.getByRole("button", { name: "Save and follow" }).click();
  await heading(page, "www");
  const written = readFileSync(program.path("managed.d/plan-www.toml"), "utf8");
  assert.ok(written.includes(`files = ["${program.path("source")}"]`), written);
  await page.getByText("No good snapshot").waitFor();
  await look(page, "plan-new");

  // One run at a time on a host: the plan's own waits for this one, and so both tabs see each of its states.
  await furnish(program);
  const before = await client.run("slow");
  await client.until("it is at work", `/runs/${before}`, (one) => one.state === "running");
  await page.getByRole("button", { name: "Run now" }).click();
  await heading(page, "Backup of www");
  const other = await open(new URL(page.url()).pathname);
  const tabs = [page, other];
  for (const tab of tabs) {
    await tab.getByText("Waiting", { exact: true }).first().waitFor();
    await tab.getByText("Live", { exact: true }).waitFor();
    await remember(tab);
  }
  await look(page, "run-waiting");
  await client.get("POST", `/runs/${before}/cancel`);
  for (const tab of tabs) {
    await tab.getByRole("status").getByText("Ok", { exact: true }).waitFor();
    await tab.getByRole("link", { name: /^[0-9a-f]{8}/ }).first().waitFor();
    assert.ok(await remembers(tab), "the tab followed without being loaded again");
  }
  await look(page, "run-ok");
  const run = await client.get("GET", `/runs/${page.url().split("/").at(-1)}`);
  assert.deepEqual([run.verdict, run.plan, run.kind], ["ok", "www", "backup"]);
  await page.getByRole("link", { name: "Overview", exact: true }).first().click();
  await page.getByRole("heading", { level: 1, name: /promise/ }).waitFor();
  await look(page, "overview");
});

scene("a run that takes long is cancelled, and its command ends with it", async ({ inside, program, look }) => {
  const client = await furnish(program);
  const page = await inside("/plans/slow");
  await page.getByRole("button", { name: "Run now" }).click();
  await heading(page, "Backup of slow");
  await page.getByRole("status").getByText("Running", { exact: true }).waitFor();
  const run = page.url().split("/").at(-1);
  await client.until("its command is at work", `/runs/${run}`, () => follows(program));
  await look(page, "run-running");
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("The run ends within seconds").waitFor();
  await page.getByRole("status").getByText("Cancelled", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Run again" }).waitFor();
  assert.equal((await client.get("GET", `/runs/${run}`)).verdict, "cancelled");
  assert.ok(!follows(program), "its command has ended, too");
  await look(page, "run-cancelled");
});

scene("a folder is restored, each byte, and a file is downloaded", async ({ inside, program, look }) => {
  const { snapshot } = await furnish(program, { snapshot: true });
  const page = await inside("/restore");
  const next = () => page.getByRole("button", { name: "Next", exact: true }).click();
  await page.getByRole("button", { name: /^www/ }).click();
  await page.getByText("Everything", { exact: true }).waitFor();
  await look(page, "restore-what");
  await next();
  await page.getByRole("heading", { name: "The moment" }).waitFor();
  await look(page, "restore-when");
  await next();
  await page.getByLabel("Folder in it").fill("back");
  await look(page, "restore-where");
  await next();
  await page.getByText("Nothing is in the way.").waitFor();
  assert.deepEqual(readdirSync(program.path("restored")), [], "a look writes nothing");
  await look(page, "restore-look");
  await page.getByRole("button", { name: "Restore now" }).click();
  await page.getByText("all are what the snapshot says").waitFor();
  await look(page, "restore-report");
  for (const [name, bytes] of Object.entries(tree)) {
    assert.deepEqual(readFileSync(join(program.path("restored/back"), program.path("source"), name)), Buffer.from(bytes), name);
  }

  await page.goto(`${program.url}${at(snapshot, `/files?path=${encodeURIComponent(program.path("source/notes"))}`)}`);
  const grid = page.getByRole("grid");
  for (const name of ["ä name, with “odd” signs & 100%.txt", "binary"]) {
    await grid.getByText(name, { exact: true }).waitFor();
    const coming = page.waitForEvent("download");
    await grid.getByRole("link", { name: new RegExp(`^(Download )?${name.replace(/[.%&]/g, ".")}`) }).first().click();
    const download = await coming;
    assert.equal(download.suggestedFilename(), name);
    assert.deepEqual(readFileSync(await download.path()), Buffer.from(tree[`notes/${name}`]));
  }
  await look(page, "files");
});

scene("a snapshot is forgotten, and comes back", async ({ inside, program, look }) => {
  const client = await furnish(program, { snapshot: true });
  const page = await inside(at(client.snapshot));
  const there = async () => (await client.get("GET", "/snapshots?plan=www")).items.map((one) => one.time);
  const before = await there();
  await page.getByText("Not protected").waitFor();
  await look(page, "snapshot");
  await page.getByRole("button", { name: "Forget" }).click();
  const toast = page.getByRole("status").filter({ hasText: "is forgotten" });
  await toast.waitFor();
  assert.deepEqual(await there(), before.slice(1));
  await look(page, "forgotten");
  await toast.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("status").filter({ hasText: "is back" }).waitFor();
  await page.getByText("Not protected").waitFor();
  assert.deepEqual(await there(), before);
});

scene("a viewer who was made here sees, and may do nothing: neither by the pages nor by the API", async ({ inside, program, url, look }) => {
  const { snapshot } = await furnish(program, { snapshot: true });
  const vera = { user: "vera", password: "another correct horse" };
  const page = await inside("/access");
  await page.getByRole("button", { name: "New user" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("User").fill(vera.user);
  await dialog.getByLabel("First password").fill(vera.password);
  await look(page, "new-user", { below: true });
  await dialog.getByRole("button", { name: "Make" }).click();
  await page.getByRole("row", { name: /vera/ }).getByText("Viewer").waitFor();
  await look(page, "users");
  await signOut(page);
  await signIn(page, vera);

  const offers = async (path, waits, unwanted) => {
    await page.goto(url + path);
    await page.locator("main").getByText(waits).filter({ visible: true }).first().waitFor();
    // What it offers is known when nothing of it is still to come.
    await page.locator("main:not(:has([aria-busy=true]))").waitFor();
    const found = await page.locator("main").getByRole("button").or(page.locator("main a.button")).allInnerTexts();
    assert.deepEqual(found.map((one) => one.trim()).filter((one) => unwanted.test(one)), [], path);
  };
  await offers("/plans", "www", /New plan|Run/);
  await offers("/plans/www", "Keeps its promise", /Run now/);
  await page.getByRole("button", { name: "More for www" }).click();
  assert.deepEqual(await page.getByRole("menuitem").allInnerTexts(), ["Its runs", "Its snapshots", "Retention"]);
  await page.keyboard.press("Escape");
  await offers(at(snapshot), "Not protected", /Forget|Protect|Restore|Add/);
  await look(page, "viewer-snapshot");
  await offers(at(snapshot, "/files"), "You may not see names of files", /Download|Restore/);
  await offers("/repositories/main", "All runs", /Prune|Check/);
  // Definitions say where data lies and how it is reached: a viewer sees none.
  await offers("/config?tab=managed", "Nothing is written here", /New definition|Reload/);
  await offers("/config/managed/plan-www", "or you may not see it", /Save|Remove/);
  await look(page, "viewer-definition");

  const statuses = await page.evaluate(
    async ({ snapshot }) => {
      const asks = [
        ["POST", "/runs", { kind: "backup", plan: "www" }],
        ["POST", `${snapshot}/forget`],
        ["POST", `${snapshot}/protect`],
        ["GET", `${snapshot}/files`],
        ["PUT", "/config/managed/plan-www", { text: "" }],
        ["DELETE", "/config/managed/plan-www"],
        ["POST", "/users", { user: "eve", password: "a third correct horse", grants: [] }],
      ];
      const headers = { "Content-Type": "application/json", "Idempotency-Key": "viewer", "If-Match": "*" };
      const said = async ([method, path, body]) => (await fetch(`/api/v1${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) })).status;
      return Promise.all(asks.map(said));
    },
    { snapshot: at(snapshot) },
  );
  assert.deepEqual(statuses, statuses.map(() => 403));
});

scene("a session that is ended elsewhere leads to the sign-in, and back to the page", async ({ inside, program, url, look }) => {
  const client = await furnish(program, { snapshot: true });
  const page = await inside("/runs?plan=www&verdict=ok");
  await page.getByText("Live", { exact: true }).waitFor();
  const sessions = (await client.get("GET", "/sessions")).items.filter((one) => !one.is_own);
  assert.ok(sessions.length > 0);
  // No one touches the page: it sees by itself that its stream is refused.
  for (const one of sessions) await client.get("DELETE", `/sessions/${one.session}?user=${one.user}`);
  await page.getByText("Your session has ended").waitFor();
  await look(page, "session-ended");
  await signIn(page, anna);
  assert.equal(page.url(), `${url}/runs?plan=www&verdict=ok`);
  await page.locator("main").getByRole("link", { name: "www", exact: true }).first().waitFor();
});

scene("a server that restarts, or dies, is waited for, and the page goes on by itself", async ({ inside, program, look }) => {
  const client = await furnish(program, { snapshot: true });
  const run = await client.run("slow");
  await client.until("it is at work", `/runs/${run}`, (one) => one.state === "running");
  const page = await inside(`/runs/${run}`);
  await page.getByRole("status").getByText("Running", { exact: true }).waitFor();
  await page.getByText("Live", { exact: true }).waitFor();
  await remember(page);
  const away = async (signal) => {
    await program.end(signal);
    await page.getByText("Not live: connecting").waitFor();
  };
  await away("SIGKILL");
  await look(page, "server-away");
  await program.start();
  await page.getByText("Live", { exact: true }).waitFor();
  await page.getByRole("status").getByText("Lost", { exact: true }).waitFor();
  assert.ok(await remembers(page), "the page goes on without being loaded again");
  await look(page, "run-lost");

  // The browser may have kept the code of pages that other tests have opened.
  await (await page.context().newCDPSession(page)).send("Network.setCacheDisabled", { cacheDisabled: true });
  await page.getByRole("link", { name: "Plans", exact: true }).first().click();
  await page.getByRole("link", { name: "www" }).waitFor();
  await away("SIGTERM");
  // What is asked for meanwhile is shown as soon as the server is back.
  await page.getByRole("link", { name: "Schedule", exact: true }).first().click();
  // The code of the page, or what it shows: which of them is missing depends on what the browser has loaded before.
  await page.getByText(/This page couldn't be loaded|The server can't be reached/).first().waitFor();
  await look(page, "page-away", { alert: true });
  await program.start();
  await heading(page, "Schedule");
  await page.getByText("Live", { exact: true }).waitFor();
  await page.locator("main").getByRole("link", { name: "www", exact: true }).first().waitFor();
});

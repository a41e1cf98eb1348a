// Pictures of all pages in both themes and on a phone, into shots/, for people to look at: `npm run shots [part of a name]`.
import { mkdirSync } from "node:fs";
import { accessibility, open } from "./browser.js";
import { endRestore } from "./fixture/routes-restores.js";
import { start } from "./fixture/server.js";

const wanted = process.argv[2] ?? "";
const server = await start();
const out = await start({ signedIn: false });
const setup = await start({ signedIn: false, needsSetup: true });
const empty = await start({ empty: true });
const oidc = await start({ signedIn: false });
oidc.state.oidc = true;
/** An empty server with a repository and a plan, whose first run went wrong. */
const begun = await start({ empty: true });
begun.state.repositories = ["main"];
const failed = server.state.runs.find((run) => run.verdict === "failed").run;
const running = server.state.runs[0].run;
const shown = server.state.snapshots[5].snapshot;
server.state.protected.add(server.state.snapshots[3].snapshot);
const snapshot = `${server.url}/snapshots/main/${shown}`;
const chosen = `repository=main&snapshot=${shown}&path=/srv/www/index.html&path=/srv/www/site.js`;
const restores = await Promise.all(
  [0, 1].map(async () => {
    const body = JSON.stringify({ repository: "main", snapshot: shown, paths: ["/srv/www/index.html", "/srv/www/site.js"], destination: { to: "folder", place: "/srv/restore", folder: "www" }, overwrite: "refuse", verify: true });
    const answer = await fetch(`${server.url}/api/v1/restores`, { method: "POST", headers: { "Idempotency-Key": "shots" }, body });
    return (await answer.json()).run;
  }),
);
endRestore(server.state, restores[1], { failures: [{ path: "/srv/restore/www/srv/www/site.js", why: "the content can't be read: pack 41ab2c is damaged" }] });
const pages = {
  overview: server.url,
  empty: empty.url,
  plans: `${server.url}/plans`,
  "plans-new": `${server.url}/plans?new=1`,
  plan: `${server.url}/plans/www`,
  retention: `${server.url}/plans/www/retention`,
  "retention-tried": `${server.url}/plans/www/retention?try=1&last=3&daily=7&weekly=4&monthly=12&at_least=3`,
  runs: `${server.url}/runs`,
  run: `${server.url}/runs/${running}`,
  "run-failed": `${server.url}/runs/${failed}`,
  repositories: `${server.url}/repositories`,
  "repositories-new": [`${server.url}/repositories`, (page) => page.getByRole("button", { name: "New repository" }).click()],
  "repositories-empty": `${empty.url}/repositories`,
  repository: `${server.url}/repositories/main`,
  snapshots: `${server.url}/snapshots`,
  "snapshots-of-plan": `${server.url}/snapshots?plan=www`,
  snapshot,
  "snapshot-protected": `${server.url}/snapshots/main/${server.state.snapshots[3].snapshot}`,
  browse: `${snapshot}/files?path=/srv/www`,
  "browse-million": `${snapshot}/files?path=/srv/www/uploads`,
  diff: `${snapshot}/diff`,
  "diff-kinds": `${snapshot}/diff?kinds=removed,content`,
  "restore-plan": `${server.url}/restore`,
  "restore-what": `${server.url}/restore?${chosen}`,
  "restore-when": `${server.url}/restore?${chosen}&step=when`,
  "restore-where": `${server.url}/restore?${chosen}&step=where`,
  "restore-look": `${server.url}/restore?${chosen}&step=look&to=original`,
  "restore-runs": `${server.url}/restores/${restores[0]}`,
  "restore-report": `${server.url}/restores/${restores[1]}`,
  problems: `${server.url}/problems`,
  patterns: `${server.url}/problems?tab=patterns`,
  notifications: `${server.url}/notifications`,
  "notifications-routes": `${server.url}/notifications?tab=routes`,
  "notifications-targets": `${server.url}/notifications?tab=targets`,
  "notifications-messages": `${server.url}/notifications?tab=deliveries`,
  config: `${server.url}/config`,
  "config-diagnostics": `${server.url}/config?tab=diagnostics`,
  tokens: `${server.url}/access?tab=tokens`,
  schedule: `${server.url}/schedule`,
  access: `${server.url}/access`,
  audit: `${server.url}/audit`,
  "audit-verified": [`${server.url}/audit`, async (page) => {
    await page.getByRole("button", { name: "Verify" }).click();
    await page.getByText("as they were written").waitFor();
  }],
  logs: `${server.url}/logs`,
  "logs-own": `${server.url}/logs?time=own&level=warning`,
  analytics: `${server.url}/analytics`,
  "analytics-year": `${server.url}/analytics?period=365`,
  "analytics-empty": `${empty.url}/analytics`,
  storage: `${server.url}/storage`,
  "storage-main": `${server.url}/storage?repository=main`,
  account: `${server.url}/account`,
  "repository-prune": [`${server.url}/repositories/main`, async (page) => {
    await page.getByRole("button", { name: "Prune…" }).click();
    await page.getByRole("dialog").getByText("Requests").waitFor();
  }],
  "definition-wrong": [`${server.url}/config/managed/plan-www`, async (page) => {
    await page.getByLabel("The definition", { exact: true }).fill('[plan.www]\nrepository = "main"\nschedule   = { cron = "30 1 *" }\nretension  = { daily = 2 }\n');
    await page.getByText("2 errors").waitFor();
  }],
  "definition-changed": [`${server.url}/config/managed/plan-www`, async (page) => {
    await page.getByLabel("The definition", { exact: true }).fill('[plan.www]\nrepository = "offsite"\nsource     = [{ files = ["/srv/www", "/etc"] }]\nschedule   = { cron = "30 3 * * *" }\nretention  = { daily = 30, weekly = 8, at_least = 3 }\n');
    await page.getByText("Changed").waitFor();
  }],
  "project-member": [`${server.url}/projects/shop`, (page) => page.getByRole("button", { name: "Change what chen may do" }).click()],
  export: [`${server.url}/snapshots?plan=photos`, (page) => page.getByRole("button", { name: "Export" }).click()],
  bell: [`${server.url}/plans`, (page) => page.getByRole("button", { name: /^Notifications/ }).click()],
  "sign-in": out.url,
  setup: setup.url,
  "sign-in-oidc": `${oidc.url}/?sign_in=no_role`,
  "first-second": begun.url,
  "config-managed": `${server.url}/config?tab=managed`,
  "config-managed-empty": `${empty.url}/config?tab=managed`,
  definition: `${server.url}/config/managed/plan-www`,
  "definition-new": `${server.url}/config/new`,
  projects: `${server.url}/projects`,
  "projects-empty": `${empty.url}/projects`,
  project: `${server.url}/projects/shop`,
  approvals: `${server.url}/approvals`,
  "approvals-all": `${server.url}/approvals?tab=all`,
};
const screens = [
  ["light", { width: 1360, height: 900, theme: "light" }],
  ["dark", { width: 1360, height: 900, theme: "dark" }],
  ["phone", { width: 390, height: 844, theme: "light" }],
];

mkdirSync(new URL("../shots/", import.meta.url), { recursive: true });
for (const [name, screen] of screens) {
  const browser = await open(screen);
  const page = await browser.page();
  for (const [key, of] of Object.entries(pages)) {
    const [url, steps] = [of].flat();
    if (wanted && !new RegExp(wanted).test(key)) continue;
    await page.goto(url, { waitUntil: "load" });
    await page.waitForSelector("h1");
    await page.waitForTimeout(350);
    await steps?.(page);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (overflow > 0) console.log(`${key} on ${name}: wider than the screen by ${overflow} px`);
    // What lies below something that is open is too small for axe.
    for (const finding of await accessibility(page, { except: steps ? ["target-size"] : [] })) console.log(`${key} on ${name}: ${finding}`);
    // A list without an end is shown as far as the screen goes.
    const fullPage = await page.evaluate(() => document.documentElement.scrollHeight < 6000);
    await page.screenshot({ path: new URL(`../shots/${key}-${name}.png`, import.meta.url).pathname, fullPage, timeout: 180_000 });
  }
  for (const complaint of browser.complaints) console.log(`${name}: ${complaint}`);
  await browser.close();
}
await Promise.all([server, out, setup, empty, oidc, begun].map((one) => one.stop()));

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
  repository: `${server.url}/repositories/main`,
  snapshots: `${server.url}/snapshots`,
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
  logs: `${server.url}/logs`,
  account: `${server.url}/account`,
  "sign-in": out.url,
  setup: setup.url,
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
  for (const [key, url] of Object.entries(pages)) {
    if (wanted && !new RegExp(wanted).test(key)) continue;
    await page.goto(url, { waitUntil: "load" });
    await page.waitForSelector("h1");
    await page.waitForTimeout(350);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (overflow > 0) console.log(`${key} on ${name}: wider than the screen by ${overflow} px`);
    for (const finding of await accessibility(page)) console.log(`${key} on ${name}: ${finding}`);
    // A list without an end is shown as far as the screen goes.
    const fullPage = await page.evaluate(() => document.documentElement.scrollHeight < 6000);
    await page.screenshot({ path: new URL(`../shots/${key}-${name}.png`, import.meta.url).pathname, fullPage, timeout: 180_000 });
  }
  for (const complaint of browser.complaints) console.log(`${name}: ${complaint}`);
  await browser.close();
}
await Promise.all([server, out, setup, empty].map((one) => one.stop()));

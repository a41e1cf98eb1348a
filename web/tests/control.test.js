// First steps, definitions that are written here, projects, requests for a second person, and accounts of elsewhere, as a
// user sees them.
import assert from "node:assert/strict";
import { accessibility } from "./browser.js";
import { browsing, heading } from "./visit.js";

const { scene, visit } = browsing();
const editor = (page) => page.getByLabel("The definition", { exact: true });

visit("an empty server is led from a repository to a plan and a first run", { empty: true }, async (page, server) => {
  await heading(page, "Nothing is backed up yet.");
  const step = (name) => page.getByRole("listitem").filter({ has: page.getByRole("heading", { name }) });
  await step("A place for snapshots").getByLabel("Directory", { exact: true }).last().fill("/mnt/it's here");
  await page.getByText("Can be followed").waitFor();
  // The command can be pasted into a shell as it is.
  await page.getByText("keepfast -r '/mnt/it'\\''s here' --password-file /etc/keepfast/main.password init").waitFor();
  assert.deepEqual(await accessibility(page), []);
  await page.getByRole("button", { name: "Save and follow" }).click();
  await step(/A place for snapshots.*Done/).waitFor();
  assert.match(server.state.files.get("repository-main"), /^url {8}= "\/mnt\/it's here"$/m);

  await page.getByRole("button", { name: "New plan" }).click();
  const dialog = page.getByRole("dialog", { name: "New plan" });
  await dialog.getByLabel("Name").fill("web");
  await dialog.getByLabel("What to back up").fill("/srv/www");
  await dialog.getByText("Can be followed").waitFor();
  await dialog.getByText("plan.web", { exact: true }).waitFor();
  await dialog.getByRole("button", { name: "Save and follow" }).click();
  await heading(page, "web");
  assert.match(server.state.files.get("plan-web"), /^source {5}= \[\{ files = \["\/srv\/www"\] \}\]$/m);

  await page.getByRole("link", { name: "Overview", exact: true }).click();
  await step(/A plan.*Done/).waitFor();
  await page.getByRole("button", { name: "Run now: web" }).click();
  await page.getByText("A run of web is queued").waitFor();
  await page.getByRole("progressbar", { name: "Progress of web" }).first().waitFor();
});

visit("where the server writes no definitions, a form says where its text goes", { path: "/plans" }, async (page, server) => {
  server.state.managed = false;
  await page.reload();
  await page.getByRole("button", { name: "New plan" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("web");
  await dialog.getByLabel("What to back up").fill("/srv");
  await dialog.getByText("Put it into a file of the server's configuration.", { exact: false }).waitFor();
  assert.equal(await dialog.getByRole("button", { name: "Save and follow" }).count(), 0);
  await page.keyboard.press("Escape");
  await page.goto(`${server.url}/config?tab=managed`);
  await page.getByText("The server writes no definitions").waitFor();
});

visit("a definition says at its lines what is wrong, and is saved when it can be followed", { path: "/config?tab=managed" }, async (page, server) => {
  await page.getByRole("link", { name: "Edit plan-www" }).click();
  await heading(page, "managed.d/plan-www.toml");
  await editor(page).fill('[plan.www]\nrepository = "main"\nschedule   = { cron = "30 1 *" }\nretension  = { daily = 2 }\n');
  await page.getByText("2 errors").waitFor();
  assert.deepEqual(await page.locator(".numbers .error").allInnerTexts(), ["3", "4"]);
  assert.equal(await page.getByRole("button", { name: "Save" }).isDisabled(), true);
  await page.getByRole("button", { name: "Go to line 3" }).click();
  assert.equal(await editor(page).evaluate((field) => field.value.slice(0, field.selectionStart).split("\n").length), 3);
  assert.deepEqual(await accessibility(page), []);

  const text = '[plan.www]\nrepository = "offsite"\nsource     = [{ files = ["/srv/www", "/etc"] }]\nschedule   = { cron = "30 3 * * *" }\nretention  = { daily = 30, at_least = 3 }\n';
  await editor(page).fill(text);
  await page.getByText("Can be followed").waitFor();
  await page.getByText("Not saved").waitFor();
  // What would be different, as the server says it.
  assert.match(await page.getByRole("complementary").innerText(), /Changed\s+plan\.www[\s\S]*repository\s+"main"\s+"offsite"/);
  await page.keyboard.press("Control+s");
  await page.getByText("plan-www is written").waitFor();
  await page.getByText("What has changed").waitFor();
  assert.equal(server.state.files.get("plan-www"), text);
});

visit("what was written and not saved is there when one comes back", { path: "/config/managed/plan-www" }, async (page) => {
  await editor(page).fill('[plan.www]\nrepository = "offsite"\n');
  await page.getByText("Not saved").waitFor();
  await page.getByRole("link", { name: "Runs", exact: true }).first().click();
  await heading(page, "Runs");
  await page.goBack();
  await page.getByText("Not saved").waitFor();
  assert.match(await editor(page).inputValue(), /offsite/);
});

visit("what someone else has changed meanwhile isn't overwritten unseen", { path: "/config/managed/plan-www" }, async (page, server) => {
  await editor(page).waitFor();
  await page.getByText("As it is saved").waitFor();
  server.state.files.set("plan-www", '[plan.www]\nrepository = "theirs"\n');
  await editor(page).fill('[plan.www]\nrepository = "mine"\n');
  await page.getByText("Can be followed").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  const dialog = page.getByRole("dialog", { name: "Someone else has changed it meanwhile" });
  const difference = await dialog.getByRole("region", { name: "Difference" }).innerText();
  assert.match(difference, /−repository = "theirs"\s+\+repository = "mine"/);
  assert.equal(server.state.files.get("plan-www"), '[plan.www]\nrepository = "theirs"\n');
  assert.deepEqual(await accessibility(page, { except: ["target-size"] }), []);
  await dialog.getByRole("button", { name: "Save mine over it" }).click();
  await page.getByText("plan-www is written").waitFor();
  assert.equal(server.state.files.get("plan-www"), '[plan.www]\nrepository = "mine"\n');
});

visit("a new definition begins with an example, and is removed after a question", { path: "/config/new" }, async (page, server) => {
  await page.getByLabel("Begin with").selectOption("target");
  assert.match(await editor(page).inputValue(), /^\[target\.ops\]/);
  await page.getByLabel("Name").fill("On Duty");
  await page.getByText("Small letters, digits and - only").waitFor();
  await page.getByLabel("Name").blur();
  assert.equal(await page.getByLabel("Name").inputValue(), "on-duty");
  await page.getByText("Can be followed").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await heading(page, "managed.d/on-duty.toml");
  await page.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("dialog", { name: "Remove on-duty?" }).getByRole("button", { name: "Remove" }).click();
  await page.getByText("on-duty is removed").waitFor();
  assert.equal(server.state.files.has("on-duty"), false);
});

visit("where two people are needed for definitions, nothing is written at once", { path: "/config/managed/plan-www" }, async (page, server) => {
  server.state.twoPersons = ["definitions"];
  const before = '[plan.www]\nrepository = "main"\n';
  await page.getByText("As it is saved").waitFor();
  const saved = server.state.files.get("plan-www");
  await editor(page).fill(before);
  await page.getByText("Can be followed").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  const toast = page.getByRole("status").filter({ hasText: "A second person has to agree" });
  await toast.getByRole("button", { name: "See" }).click();
  await heading(page, "Second person");
  assert.equal(server.state.files.get("plan-www"), saved);
});

visit("a project is made, gets a member, and is removed without a snapshot being lost", { path: "/projects" }, async (page, server) => {
  await page.getByRole("button", { name: "New project" }).click();
  const made = page.getByRole("dialog", { name: "New project" });
  await made.getByLabel("Name").fill("shop");
  await made.getByLabel("What its plans may store in all").fill("4TiB");
  // A file of this name is there: that is said, and nothing is overwritten unseen.
  await made.getByRole("button", { name: "Save and follow" }).click();
  await page.getByText("There is a file of this name already.", { exact: false }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await page.getByRole("link", { name: "shop" }).click();
  await heading(page, "shop");
  await page.getByRole("button", { name: "Add a member" }).click();
  const dialog = page.getByRole("dialog", { name: "Add a member" });
  await dialog.getByLabel("User").fill("dora");
  await dialog.getByLabel("Viewer").uncheck();
  await dialog.getByText("At least one role has to be chosen.").waitFor();
  await dialog.getByLabel("Operator").check();
  await dialog.getByLabel("See names of files").check();
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByRole("row", { name: /dora/ }).getByText("Operator, see names of files").waitFor();
  assert.deepEqual(server.state.members.find((one) => one.user === "dora").roles, [{ role: "operator", see_names: true, read_content: false }]);
  await page.getByRole("button", { name: "Remove boris from the project" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await page.getByText("boris isn't a member any more").waitFor();
  await page.getByRole("button", { name: "Remove…" }).click();
  await page.getByRole("dialog", { name: "Remove shop?" }).getByRole("button", { name: "Remove" }).click();
  await page.getByText(/shop is removed, and 1 plan with it; all snapshots are still there/).waitFor();
});

visit("a second person agrees after showing who it is, and the bell is told", { path: "/approvals" }, async (page, server) => {
  await page.getByText("Forget snapshot 5f0c2b91 of www in main, of 14 Nov").waitFor();
  await page.getByRole("button", { name: "Notifications: 3 unread" }).click();
  await page.getByText("1 request waits for you to agree").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Agree and do it" }).click();
  await page.getByRole("dialog", { name: "Do this?" }).getByRole("button", { name: "Agree and do it" }).click();
  const proof = page.getByRole("dialog", { name: "Your password again" });
  await proof.getByLabel("Password").fill("correct horse battery");
  await page.keyboard.press("Enter");
  await page.getByText("Agreed: it is done").waitFor();
  await page.getByRole("button", { name: "Notifications: 2 unread" }).waitFor();
  assert.equal(server.state.approvals.find((one) => one.approval === "a3").state, "used");
  // One's own request can be withdrawn, and not agreed to.
  assert.equal(await page.getByRole("button", { name: "Agree and do it" }).count(), 0);
  await page.getByRole("button", { name: "Withdraw" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Withdraw" }).click();
  await page.getByText("Nothing waits for a second person").waitFor();
  await page.getByRole("button", { name: "All", exact: true }).click();
  await page.getByText("The audit of this quarter needs it.").waitFor();
});

visit("a request that comes is a toast", { path: "/plans" }, async (page, server) => {
  await page.getByText("Live", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Notifications: 3 unread" }).waitFor();
  const [first] = server.state.approvals;
  server.state.approvals.unshift({ ...first, approval: "a7", summary: "Prune repository offsite" });
  server.tell("approval.asked", { subject: "prune:offsite" });
  await page.getByRole("status").filter({ hasText: "boris asks: Prune repository offsite" }).waitFor();
});

visit("people sign in with an account of elsewhere where the server offers it, and read why they can't", { signedIn: false }, async (page, server) => {
  assert.equal(await page.getByRole("link", { name: "Sign in with your organization" }).count(), 0);
  server.state.oidc = true;
  await page.goto(`${server.url}/?sign_in=no_role`);
  const link = page.getByRole("link", { name: "Sign in with your organization" });
  assert.equal(await link.getAttribute("href"), "/api/v1/session/oidc?back=%2F");
  await page.getByRole("alert").filter({ hasText: "none of your groups has a role here" }).waitFor();
  // Afterwards one is on the page where one was.
  await page.goto(`${server.url}/snapshots?plan=www&sign_in=denied`);
  assert.equal(await link.getAttribute("href"), "/api/v1/session/oidc?back=%2Fsnapshots%3Fplan%3Dwww");
});

visit("a project says what its plans store", { path: "/projects/shop" }, async (page) => {
  const card = page.getByRole("region", { name: "What its plans store" });
  await card.getByText("Added: what backups have stored in 90 days").waitFor();
  for (const [plan, newest] of [["shop-db", "19.6 GiB"], ["www", "39.1 GiB"], ["In all", "58.7 GiB"]]) {
    await card.getByRole("row").filter({ hasText: plan }).getByText(newest).waitFor();
  }
});

visit("new repositories are made on their page, with names that are free", { path: "/repositories" }, async (page, server) => {
  await page.getByRole("button", { name: "New repository" }).click();
  const dialog = page.getByRole("dialog", { name: "New repository" });
  await dialog.getByLabel("Name").fill("main");
  await dialog.getByText("A repository has this name").waitFor();
  await dialog.getByLabel("Name").fill("vault");
  await dialog.getByText("It will be managed.d/repository-vault.toml").waitFor();
  await dialog.getByRole("button", { name: "Save and follow" }).click();
  await dialog.waitFor({ state: "hidden" });
  assert.ok(server.requests.includes("PUT /config/managed/repository-vault"), server.requests.join());
});

visit("a viewer is offered no definition, no member and no project", { path: "/projects/shop", role: "viewer" }, async (page, server) => {
  await page.getByText("boris", { exact: true }).waitFor();
  for (const name of ["Add a member", "Remove…", "Change what boris may do"]) assert.equal(await page.getByRole("button", { name }).count(), 0, name);
  await page.goto(`${server.url}/config?tab=managed`);
  await page.getByText("plan-www.toml").waitFor();
  assert.equal(await page.getByRole("link", { name: "New definition" }).count(), 0);
});

visit("each list is exported with all its rows, as CSV and as JSON", { path: "/plans?standing=overdue" }, async (page, server) => {
  const lists = {
    "/plans?standing=overdue": "/plans.csv?standing=overdue&",
    "/runs?plan=www": "/runs.csv?plan=www&",
    "/snapshots?search=shop": "/snapshots.csv?search=shop&",
    "/repositories": "/repositories.csv?",
    "/projects": "/projects.csv?",
    "/problems?tab=resolved": "/problems.csv?state=resolved&",
    "/problems?tab=patterns": "/patterns.csv?",
    "/notifications?tab=deliveries": "/deliveries.csv?",
    "/config?tab=files": "/config/files.csv?",
    "/access?tab=tokens": "/tokens.csv?",
    "/approvals": "/approvals.csv?open=true&",
    "/schedule": "/schedule.csv?",
    "/audit?who=ann": "/audit.csv?who=ann&",
    "/plans/www/retention": "/retention/snapshots.csv?plan=www&",
  };
  for (const [path, list] of Object.entries(lists)) {
    await page.goto(server.url + path);
    await page.getByRole("button", { name: "Export", exact: true }).click();
    const hrefs = await page.getByRole("menuitem").evaluateAll((links) => links.map((link) => link.getAttribute("href")));
    assert.deepEqual(hrefs, [`/api/v1${list}limit=1000000`, `/api/v1${list.replace(".csv", ".json")}limit=1000000`], path);
    await page.keyboard.press("Escape");
  }
});

scene("pages of definitions, projects and requests are whole in the dark and on a phone, and on an empty server", async (opened) => {
  const [full, empty] = [await opened.start(), await opened.start({ empty: true })];
  for (const [theme, width] of [["dark", 1280], ["light", 390], ["dark", 390]]) {
    const page = await opened.page();
    await page.emulateMedia({ colorScheme: theme });
    await page.setViewportSize({ width, height: 844 });
    const paths = ["/config?tab=managed", "/config/new", "/projects", "/approvals", "/approvals?tab=all"];
    const all = [...paths.flatMap((path) => [full.url + path, empty.url + path]), `${full.url}/projects/shop`, `${full.url}/config/managed/plan-www`, empty.url];
    for (const url of all) {
      await page.goto(url);
      await page.waitForSelector("h1");
      await page.waitForFunction(() => !document.querySelector("[aria-busy]"));
      assert.deepEqual(await accessibility(page), [], `${url} ${theme} ${width}`);
      assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0, `${url} on ${width} px is wider than the screen`);
    }
    await page.close();
  }
});

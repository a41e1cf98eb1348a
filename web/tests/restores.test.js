// Restores as a user makes them: what, of which moment, where to, a look, progress, report.
import assert from "node:assert/strict";
import { accessibility } from "./browser.js";
import { endRestore } from "./fixture/routes-restores.js";
import { browsing, heading } from "./visit.js";

const { visit } = browsing();
const phone = browsing({ width: 390, height: 844, theme: "dark" });

const next = (page) => page.getByRole("button", { name: "Next", exact: true }).click();
const step = (page, name) => page.locator("[aria-current='step']").filter({ hasText: name }).waitFor();
const addressOf = (server, at, more = "") => `${server.url}/restore?repository=main&snapshot=${server.state.snapshots[at].snapshot}${more}`;

visit("files are restored to a folder: each choice is in the address, and progress and report are live", { path: "/restore" }, async (page, server) => {
  await page.getByRole("button", { name: /^www/ }).click();
  await page.getByText("Everything").waitFor();
  await page.getByText("Only some of it").click();
  await page.getByRole("link", { name: "Choose in the files…" }).click();
  await page.getByRole("grid").getByLabel("Choose etc").check();
  await page.getByRole("link", { name: "Restore these…" }).click();
  await page.getByText("Only 1 path").waitFor();
  await next(page);

  await step(page, "Which moment");
  const moments = server.state.snapshots.filter((one) => one.plan === "www");
  assert.equal(await page.getByLabel("Snapshots from the oldest").getAttribute("max"), String(moments.length - 1));
  await page.getByRole("button", { name: "The next older one" }).click();
  await page.waitForURL(new RegExp(`snapshot=${moments[1].snapshot}`));
  await page.reload();
  await step(page, "Which moment");
  assert.equal(await page.getByRole("button", { pressed: true }).count(), 1);
  assert.deepEqual(await accessibility(page), []);
  await next(page);

  await step(page, "Where to");
  await page.getByLabel("Folder in it").fill("../up");
  await page.getByText("No .. and no / at the beginning").waitFor();
  await page.getByLabel("Folder in it").fill("letters");
  await page.getByRole("radio", { name: /Leave them/ }).check();
  assert.ok(await page.getByRole("radio", { name: /mnt\/usb/ }).isDisabled(), "a place that isn't there can't be chosen");
  assert.deepEqual(await accessibility(page), []);
  await next(page);

  await step(page, "Look at it first");
  await page.getByText("/srv/restore/letters").waitFor();
  await page.getByText("Nothing is in the way.").waitFor();
  assert.deepEqual(await accessibility(page), []);
  await page.getByRole("button", { name: "Restore now" }).click();
  await page.waitForURL(/\/restores\//);
  const [id, begun] = [...server.state.restores][0];
  assert.deepEqual([begun.snapshot, begun.paths, begun.overwrite, begun.target], [moments[1].snapshot, ["/etc"], "never", "/srv/restore/letters"]);
  await page.getByText("Running", { exact: true }).waitFor();
  server.tell("run.progress", { run: id, plan: "www", phase: "restore", progress: { files: 3, files_expected: 6, bytes: 2 ** 20, bytes_expected: 2 ** 21, bytes_per_s: 2 ** 20, left_s: 1 } });
  await page.getByText("1.00 MiB of 2.00 MiB").waitFor();
  assert.deepEqual(await accessibility(page), []);
  endRestore(server.state, id);
  server.tell("run.ended", { run: id });
  await page.getByText("all are what the snapshot says").waitFor();
  assert.equal(server.requests.filter((request) => request === "POST /restores").length, 1);
});

visit("over the original files: what is in the way is shown, and the password is asked for", { path: "/" }, async (page, server) => {
  await page.goto(addressOf(server, 2, "&path=/srv/www&step=where"));
  await page.getByRole("radio", { name: /^Where it was/ }).check();
  await next(page);
  await page.getByRole("row", { name: /site\.js/ }).getByText("is newer").waitFor();
  await page.getByRole("row", { name: /uploads/ }).getByText("can't be restored").waitFor();
  await page.getByText("owners of files can't be put right").waitFor();
  await page.getByRole("button", { name: "Restore, and replace files" }).click();
  await page.getByRole("dialog", { name: "Your password again" }).getByLabel("Password").fill("correct horse battery");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/restores\//);
  const [id, begun] = [...server.state.restores][0];
  assert.deepEqual([begun.original, begun.overwrite], [true, "if_changed"]);
  endRestore(server.state, id, { failures: [{ path: "/srv/www/uploads", why: "a folder is there" }] });
  server.tell("run.ended", { run: id });
  await page.getByRole("row", { name: /uploads/ }).getByText("a folder is there").waitFor();
  await page.getByText("Findings", { exact: true }).waitFor();
});

visit("an operator is offered other places alone, and a viewer nothing", { path: "/", role: "operator" }, async (page, server) => {
  await page.goto(addressOf(server, 2, "&step=where"));
  await page.getByLabel("Folder in it").waitFor();
  assert.ok(await page.getByRole("radio", { name: /^Where it was/ }).isDisabled());
  await page.goto(addressOf(server, 2));
  assert.ok(await page.getByRole("radio", { name: /Only some of it/ }).isDisabled(), "without names, there is nothing to choose from");
  server.state.grants[0].rights = ["see"];
  await page.reload();
  await page.getByText("You may not restore").waitFor();
});

phone.visit("a restore is made on a phone in the dark", { path: "/" }, async (page, server) => {
  const fits = async () => assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)) <= 0);
  await page.goto(addressOf(server, 2));
  for (const name of ["What", "Which moment", "Where to"]) {
    await step(page, name);
    await fits();
    assert.deepEqual(await accessibility(page), []);
    await next(page);
  }
  await page.getByText("Nothing is in the way.").waitFor();
  await fits();
});

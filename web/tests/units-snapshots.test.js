// What is computed for the pages about snapshots: without a browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.js";

const paths = await load("src/lib/paths.ts");
const retention = await load("src/lib/retention.ts");
const restore = await load("src/lib/restore.ts");

test("paths are shown as text, with a mark where there is none", () => {
  const cases = [["/srv/caf%C3%A9", "/srv/café"], ["/a%25b", "/a%b"], ["/odd%FF%0A", "/odd\ufffd\ufffd"], ["/plain é 😀", "/plain é 😀"], ["/50%", "/50%"], ["/a\u202eb", "/a\ufffdb"]];
  for (const [path, shown] of cases) assert.equal(paths.shown(path), shown);
});

test("the folders on the way to a path keep the form that queries take", () => {
  assert.deepEqual(paths.steps("/"), []);
  assert.deepEqual(paths.steps("/srv/a%25b"), [{ name: "srv", path: "/srv" }, { name: "a%b", path: "/srv/a%25b" }]);
  assert.deepEqual(["/srv/www", "/srv", "/"].map(paths.parent), ["/srv", "/", "/"]);
});

const setting = (name, value, origin = "conf.d/www.toml:4") => ({ path: `plan.www.retention.${name}`, value, origin });
const settings = [setting("daily", "14"), setting("within", '"30d"'), setting("tags", '["keep"]'), setting("max_removed", '"50%"', "default"), { path: "plan.www.rpo", value: '"26h"', origin: "x" }];

test("the rules of a plan come from its settings, and become the line of its definition", () => {
  const rules = retention.rulesOf(settings);
  assert.deepEqual(rules, { daily: "14", within: "30d" });
  const line = retention.retentionToml({ ...rules, daily: "7", weekly: "0", monthly: "all", at_least: "3" }, settings);
  assert.equal(line, 'retention = { daily = 7, monthly = "all", within = "30d", at_least = 3, tags = ["keep"] }');
});

test("rules that keep zero say nothing, and a floor by itself lets nothing go", () => {
  assert.ok(retention.equal({ daily: "7", weekly: "0" }, { daily: "7" }));
  assert.ok(!retention.equal({ daily: "7" }, { daily: "8" }));
  assert.deepEqual([{ at_least: "3", daily: "0" }, { max_size: "1GiB" }, {}].map(retention.removes), [false, true, false]);
});

test("a snapshot that only one of two forecasts has is in the comparison", () => {
  const one = (id, time, goes) => ({ id, time, protected: false, goes, reasons: [] });
  const now = { snapshots: [one("a", "2026-11-01T00:00:00Z", null), one("b", "2026-11-02T00:00:00Z", { run: 1, at: "2026-11-03T00:00:00Z" })] };
  const then = { snapshots: [one("b", "2026-11-02T00:00:00Z", { run: 4, at: "2026-11-06T00:00:00Z" })] };
  const compared = retention.compare(now, then);
  assert.deepEqual(compared.map((row) => [row.id, retention.fate(row.now), retention.fate(row.then)]), [["b", "next", "later"], ["a", "keep", "keep"]]);
});

test("an address says what is restored; what makes no sense in it counts for nothing", () => {
  const of = (text) => restore.choicesOf(new URLSearchParams(text));
  const all = of("repository=main&snapshot=ab&path=/a&path=/b&to=folder&place=/srv/restore&folder=50%25&overwrite=never&verify=no");
  assert.deepEqual(restore.requestOf(all, "backup-1"), {
    repository: "main",
    snapshot: "ab",
    paths: ["/a", "/b"],
    destination: { to: "folder", place: "/srv/restore", folder: "50%25" },
    overwrite: "never",
    verify: false,
    machine: "backup-1",
  });
  const original = restore.requestOf(of("repository=main&snapshot=ab&to=original&overwrite=refuse"), "backup-1");
  assert.deepEqual([original.destination, original.overwrite, original.verify], [{ to: "original" }, "if_changed", true]);
  for (const text of ["", "repository=main&snapshot=ab", "repository=main&snapshot=ab&to=folder", "repository=main&snapshot=ab&to=folder&place=/p&folder=../x", "repository=main&snapshot=ab&to=elsewhere&step=9"])
    assert.equal(restore.requestOf(of(text), "backup-1"), null, text);
});

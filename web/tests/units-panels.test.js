// What charts, periods, definitions and differences are computed from: without a browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.js";

const scale = await load("src/lib/scale.ts");
const chart = await load("src/lib/chart.ts");
const period = await load("src/lib/period.ts");
const zone = await load("src/lib/zone.ts");
const toml = await load("src/lib/toml.ts");
const { difference } = await load("src/lib/difference.ts");
const repository = await load("src/lib/repository-toml.ts");
const plan = await load("src/lib/plan-toml.ts");
const { room } = await load("src/lib/room.ts");

test("axes have a few round values, from zero to what is shown", () => {
  assert.deepEqual(scale.ticks(11, "count"), [0, 5, 10, 15]);
  assert.deepEqual(scale.ticks(2, "count"), [0, 1, 2]);
  assert.deepEqual(scale.ticks(3.4 * 2 ** 40, "bytes"), [0, 1, 2, 3, 4].map((tib) => tib * 2 ** 40));
  assert.deepEqual(scale.ticks(1300, "seconds"), [0, 600, 1200, 1800]);
  assert.deepEqual(scale.ticks(0.3, "factor"), [0, 0.1, 0.2, 0.3].map((value) => value));
  assert.deepEqual(scale.ticks(0, "count"), [0, 1]);
  for (const unit of ["count", "bytes", "seconds", "factor"]) {
    for (const most of [1e-3, 0.7, 1, 9, 99.5, 1e4, 1e9, 1e15]) {
      const all = scale.ticks(most, unit);
      assert.ok(all.at(-1) >= most && all.length <= 8, `${unit} ${most}: ${all}`);
    }
  }
});

test("labels never overlap, and the newest has one", () => {
  assert.deepEqual(scale.labelled(30, 4), [5, 13, 21, 29]);
  assert.deepEqual(scale.labelled(2, 9), [0, 1]);
  assert.deepEqual(scale.labelled(0, 9), []);
  assert.deepEqual(scale.labelled(5, 0), [4]);
});

test("a line is broken where nothing is known, and a band ends there", () => {
  const [x, y] = [(at) => at * 10, (value) => 100 - value];
  assert.equal(chart.line([1, 2, null, 3], x, y), "M0.0 99.0L10.0 98.0M30.0 97.0");
  assert.equal(chart.between([0, 0, null], [1, 2, 3], x, y), "M0.0 99.0L10.0 98.0L10.0 100.0L0.0 100.0Z");
});

test("a period is what the address says, and has one of the same length before it", () => {
  const of = (query) => period.period(new URLSearchParams(query), "2026-11-29");
  assert.deepEqual(of(""), { from: "2026-10-31", until: "2026-11-29", by: "day" });
  assert.deepEqual(of("period=365"), { from: "2025-11-30", until: "2026-11-29", by: "week" });
  assert.deepEqual(of("period=own&from=2026-03-05&until=2026-03-01"), { from: "2026-03-01", until: "2026-03-05", by: "day" });
  assert.deepEqual(of("period=own&from=rubbish"), { from: "2026-10-31", until: "2026-11-29", by: "day" });
  assert.equal(of("period=-3").from, "2026-10-31");
  assert.deepEqual(period.before(of("period=7")), { from: "2026-11-16", until: "2026-11-22", by: "day" });
});

test("a time of a form is an instant in the server's zone", () => {
  assert.equal(zone.wall(Date.parse("2026-11-29T00:30:00Z"), "Europe/Paris"), "2026-11-29T01:30");
  assert.equal(zone.fromWall("2026-11-29T01:30", "Europe/Paris"), "2026-11-29T00:30:00.000Z");
  assert.equal(zone.fromWall("2026-07-01T01:30", "Europe/Paris"), "2026-06-30T23:30:00.000Z");
  assert.equal(zone.fromWall("rubbish", "Europe/Paris"), null);
});

test("colouring changes no letter of a definition", () => {
  for (const line of ['[plan.www] # why', 'a = "x # y" # z', "k = { cron = '30 1 * * *', n = 4 }", "  'odd key' = [1, true]", '"unended', "\t", "ünïcode = \"✓\"", "[[route]]"]) {
    assert.equal(toml.parts(line).map(([, text]) => text).join(""), line);
  }
  assert.deepEqual(toml.parts('daily = 14 # few')[0], ["key", "daily"]);
  assert.deepEqual(toml.parts('a = "b # c"').at(-1), ["string", '"b # c"']);
});

test("a difference has all lines of both texts, in their order", () => {
  const [before, after] = ["a\nb\nc\nd\n", "a\nx\nc\nd\ny\n"];
  const lines = difference(before, after);
  assert.deepEqual(lines, [["same", "a"], ["gone", "b"], ["new", "x"], ["same", "c"], ["same", "d"], ["new", "y"], ["same", ""]]);
  const large = (seed) => Array.from({ length: 4000 }, (_, at) => `${seed} ${at}`).join("\n");
  for (const [one, other] of [[before, after], ["", "x"], [large("a"), large("b")]]) {
    const of = (without) => difference(one, other).filter(([kind]) => kind !== without).map(([, text]) => text).join("\n");
    assert.equal(of("new"), one);
    assert.equal(of("gone"), other);
  }
});

test("a form becomes the definition of a repository, and a command that a shell understands", () => {
  const form = { name: "main", kind: "s3", directory: "/x", bucket: "s3://bucket/prefix", endpoint: "https://s3.example.org", accessKey: "/k/name", secretKey: "", password: "/p w", checks: true, prunes: false };
  assert.equal(
    repository.repositoryToml(form),
    ["[repository.main]", 'url        = "s3://bucket/prefix"', 'password   = { file = "/p w" }', 'endpoint   = "https://s3.example.org"', 'access_key = { file = "/k/name" }', 'check      = { cron = "0 4 * * 6", read_data = "5%" }', ""].join("\n"),
  );
  assert.equal(repository.initCommand("/a b", "/it's", ""), "keepfast -r '/a b' --password-file '/it'\\''s' init");
  assert.equal(plan.quoted('a "b" \\ \n\x7f'), '"a \\"b\\" \\\\ \\n\\u007f"');
});

test("room is the quota or the file system, whichever is reached first", () => {
  const used = { bytes: 80, measured_bytes: 80, measured: "" };
  assert.deepEqual(room({ used, quota_bytes: 100, quota_warns: 0.75, disk: { total_bytes: 500, free_bytes: 400 } }), { total: 100, share: 0.8, tone: "findings" });
  assert.deepEqual(room({ used, quota_bytes: 1000, quota_warns: null, disk: { total_bytes: 500, free_bytes: 80 } }), { total: 160, share: 0.5, tone: "accent" });
  assert.equal(room({ used, quota_bytes: null, quota_warns: null, disk: null }), null);
  assert.equal(room({ used: null, quota_bytes: 100, quota_warns: null, disk: null }), null);
});

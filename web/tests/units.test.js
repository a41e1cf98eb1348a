// Words and numbers that are computed: without a browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.js";

const format = await load("src/lib/format.ts");
const zone = await load("src/lib/zone.ts");
const cron = await load("src/lib/cron.ts");
const plan = await load("src/lib/plan-toml.ts");

test("sizes have three digits", () => {
  const cases = [[0, "0 B"], [1023, "1023 B"], [1024, "1.00 KiB"], [10_239, "10.0 KiB"], [2 ** 30 * 1.5, "1.50 GiB"], [2 ** 40 - 1, "1.00 TiB"], [null, "–"]];
  for (const [bytes, text] of cases) assert.equal(format.size(bytes), text);
});

test("lengths are in their two largest units", () => {
  const cases = [[0, "0 s"], [59.6, "1 min"], [61, "1 min 1 s"], [3600, "1 h"], [93_600, "26 h"], [190_800, "2 d 5 h"], [864_000, "10 d"], [null, "–"]];
  for (const [seconds, text] of cases) assert.equal(format.length(seconds), text);
});

test("instants are in the zone that is asked for", () => {
  assert.equal(format.dateTime("2026-07-01T22:30:00Z", "Europe/Paris"), "2026-07-02 00:30");
  assert.equal(format.dateTime("2026-07-01T22:30:05Z", "UTC", true), "2026-07-01 22:30:05");
  assert.equal(format.day("2026-07-01T22:30:00Z", "Europe/Paris"), "2026-07-02");
});

test("a day in a zone begins and ends at its midnights, also when the clock is set", () => {
  const cases = [
    ["2026-11-29", "Europe/Paris", "2026-11-28T23:00:00.000Z", "2026-11-29T23:00:00.000Z"],
    ["2026-03-29", "Europe/Paris", "2026-03-28T23:00:00.000Z", "2026-03-29T22:00:00.000Z"],
    ["2026-10-25", "Europe/Paris", "2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z"],
    ["2026-06-01", "Asia/Kathmandu", "2026-05-31T18:15:00.000Z", "2026-06-01T18:15:00.000Z"],
    ["2026-06-01", "America/Los_Angeles", "2026-06-01T07:00:00.000Z", "2026-06-02T07:00:00.000Z"],
  ];
  for (const [day, name, from, until] of cases) assert.deepEqual(zone.zonedDay(day, name), [from, until], name);
});

test("a form becomes a cron expression", () => {
  const of = (changes) => cron.expression({ ...cron.start, ...changes });
  assert.equal(of({}), "30 1 * * *");
  assert.equal(of({ how: "hourly", time: "00:05" }), "5 * * * *");
  assert.equal(of({ how: "weekly", days: [5, 1] }), "30 1 * * 1,5");
  assert.equal(of({ how: "monthly", day: 15 }), "30 1 15 * *");
  assert.equal(of({ how: "own", own: " 0 4 * * 6L " }), "0 4 * * 6L");
});

test("a form becomes a definition, whatever is typed", () => {
  const toml = plan.planToml({ name: "www", repository: "main", paths: '/a "b"\n\n /c\\d ', exclude: "", cron: "0 1 * * *", daily: 7, weekly: 0, monthly: 0 });
  assert.equal(
    toml,
    ['[plan.www]', 'repository = "main"', 'source     = [{ files = ["/a \\"b\\"", "/c\\\\d"] }]', 'schedule   = { cron = "0 1 * * *" }', "retention  = { daily = 7, at_least = 3 }", ""].join("\n"),
  );
});

// Rules of retention: as a plan's settings have them, as the API takes them, and as a file has them.
import type { Setting } from "../api/types";
import type { Forecast, ForecastedSnapshot } from "../api/types-snapshots";

/** Rules that count. */
export const counts = ["last", "hourly", "daily", "weekly", "monthly", "yearly"] as const;
const ages = ["within", "within_hourly", "within_daily", "within_weekly", "within_monthly", "within_yearly"] as const;
/** All that the simulator changes, in the order of a file. */
export const names = [...counts, ...ages, "max_size", "at_least"] as const;
export type Rule = (typeof names)[number];
/** What is said for each rule; one that is not there says nothing. */
export type Rules = Partial<Record<Rule, string>>;

const isRule = (name: string): name is Rule => (names as readonly string[]).includes(name);
const isNumber = (value: string) => /^\d+$/.test(value);

/** The rules of a plan. Values come as a file has them: 14, "30d". */
export function rulesOf(settings: readonly Setting[]): Rules {
  const rules: Rules = {};
  for (const { path, value } of settings) {
    const name = path.slice(path.lastIndexOf(".retention.") + ".retention.".length);
    if (path.includes(".retention.") && isRule(name)) rules[name] = value.replace(/^"(.*)"$/, "$1");
  }
  return rules;
}

/** Without what says nothing: rules that keep zero keep nothing. */
export function said(rules: Rules): Rules {
  return Object.fromEntries(names.filter((name) => rules[name] && rules[name] !== "0").map((name) => [name, rules[name]]));
}

export const equal = (one: Rules, other: Rules) => names.every((name) => said(one)[name] === said(other)[name]);

/** Whether there is a rule by which anything goes; a floor by itself is none. */
export const removes = (rules: Rules) => names.some((name) => name !== "at_least" && said(rules)[name]);

/** The line of a plan's definition. Tags and the brake, which the simulator doesn't change, are kept as they are. */
export function retentionToml(rules: Rules, settings: readonly Setting[]): string {
  const own = said(rules);
  const others = settings
    .filter(({ path, origin }) => /\.retention\.(tags|max_removed)/.test(path) && origin !== "default")
    .map(({ path, value }) => [path.slice(path.lastIndexOf(".retention.") + ".retention.".length), value] as const)
    .filter(([name]) => name === "tags" || name === "max_removed");
  const written = [
    ...names.flatMap((name) => {
      const value = own[name];
      return value === undefined ? [] : [`${name} = ${isNumber(value) ? value : JSON.stringify(value)}`];
    }),
    ...others.map(([name, value]) => `${name} = ${value}`),
  ];
  return `retention = { ${written.join(", ")} }`;
}

/** What will become of a snapshot: it stays as far as anyone looks ahead, goes at the next run, or later. */
export type Fate = "keep" | "next" | "later";

export function fate(one: ForecastedSnapshot | undefined): Fate {
  if (!one?.goes) return "keep";
  return one.goes.run === 1 ? "next" : "later";
}

/** A policy beside another one: what becomes of each snapshot by both. */
export interface Compared {
  readonly id: string;
  readonly time: string;
  readonly protected: boolean;
  readonly now: ForecastedSnapshot | undefined;
  readonly then: ForecastedSnapshot | undefined;
}

/** All snapshots of two forecasts, the newest first. */
export function compare(now: Forecast, then: Forecast): Compared[] {
  const other = new Map((then.snapshots ?? []).map((one) => [one.id, one]));
  const own = new Map((now.snapshots ?? []).map((one) => [one.id, one]));
  const ids = new Set([...own.keys(), ...other.keys()]);
  const all = [...ids].map((id) => {
    const [one, two] = [own.get(id), other.get(id)];
    const either = (one ?? two) as ForecastedSnapshot;
    return { id, time: either.time, protected: either.protected, now: one, then: two };
  });
  return all.toSorted((one, two) => two.time.localeCompare(one.time));
}

export function countFates(snapshots: readonly ForecastedSnapshot[] = []): Record<Fate, number> {
  const found: Record<Fate, number> = { keep: 0, next: 0, later: 0 };
  for (const one of snapshots) found[fate(one)] += 1;
  return found;
}

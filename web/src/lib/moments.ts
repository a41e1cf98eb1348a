// Snapshots as moments that one chooses from.
import type { Snapshot } from "../api/types";
import { day } from "./format";

const name = new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric", timeZone: "UTC" });

/** By month, in the order that they have: November 2026. */
export function months(list: readonly Snapshot[], zone: string | undefined): [string, Snapshot[]][] {
  const found = new Map<string, Snapshot[]>();
  for (const one of list) {
    const month = name.format(new Date(`${day(one.time, zone).slice(0, 7)}-15T12:00:00Z`));
    const of = found.get(month);
    if (of) of.push(one);
    else found.set(month, [one]);
  }
  return [...found];
}

/** By day, in the order that they have: 2026-11-29. */
export function days(list: readonly Snapshot[], zone: string | undefined): [string, Snapshot[]][] {
  const found = new Map<string, Snapshot[]>();
  for (const one of list) {
    const date = day(one.time, zone);
    const of = found.get(date);
    if (of) of.push(one);
    else found.set(date, [one]);
  }
  return [...found];
}

// Until when snapshots are kept, as far as retention foresees it.
import { call } from "../api/call";
import type { List } from "../api/types";
import type { KeptSnapshot } from "../api/types-snapshots";
import { text } from "../text";
import { day, dayName } from "./format";

/** Pages of 500 that are asked for, at most: those are the newest ones. */
const pagesMax = 5;

/** What keeps the snapshots of a plan, by their ids. */
export async function keptOf(plan: string, signal: AbortSignal): Promise<Map<string, KeptSnapshot>> {
  const found = new Map<string, KeptSnapshot>();
  let after: string | null = null;
  for (let page = 0; page < pagesMax && (page === 0 || after); page += 1) {
    const list: List<KeptSnapshot> = await call("GET", "/retention/snapshots", { query: { plan, limit: 500, after }, signal });
    for (const one of list.items) found.set(one.snapshot, one);
    after = list.next;
  }
  return found;
}

/** What keeps one now, each reason once. */
export const reasonsOf = (one: KeptSnapshot) => [...new Set(one.kept_by)];

/** Until when it stays, in a few words. */
export function untilOf(one: KeptSnapshot, zone: string | undefined): string {
  const t = text.kept;
  if (one.protected) return t.protected;
  const on = (at: string) => dayName(day(at, zone));
  if (one.goes_after_runs === 1) return one.goes ? t.nextRun(on(one.goes)) : t.nextByHand;
  if (one.goes) return t.until(on(one.goes));
  if (one.goes_after_runs !== null) return t.runs(one.goes_after_runs);
  return one.foreseen_until ? t.atLeast(on(one.foreseen_until)) : t.noRun;
}

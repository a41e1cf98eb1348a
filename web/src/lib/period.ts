// The period that figures are of, as the address has it.
import type { Span } from "../api/types-figures";

export interface Period {
  /** Days such as 2026-11-29, both of them in it. */
  readonly from: string;
  readonly until: string;
  readonly by: Span;
}

const dayMs = 86_400_000;
const isDay = (text: string | null): text is string => /^\d{4}-\d\d-\d\d$/.test(text ?? "") && !Number.isNaN(Date.parse(text ?? ""));
const shifted = (day: string, days: number) => new Date(Date.parse(day) + days * dayMs).toISOString().slice(0, 10);

/** Days in it, the first and the last one among them. */
export const daysOf = ({ from, until }: Period) => Math.round((Date.parse(until) - Date.parse(from)) / dayMs) + 1;

function spanOf(days: number): Span {
  return days <= 100 ? "day" : days <= 700 ? "week" : "month";
}

export function period(query: URLSearchParams, today: string): Period {
  const days = Number(query.get("period") ?? 30);
  let [from, until] = [shifted(today, 1 - (days > 0 && days < 4000 ? days : 30)), today];
  if (query.get("period") === "own") {
    const [first, last] = [query.get("from"), query.get("until")];
    if (isDay(last)) until = last;
    from = isDay(first) ? first : shifted(until, -29);
    if (from > until) [from, until] = [until, from];
  }
  return { from, until, by: spanOf(daysOf({ from, until, by: "day" })) };
}

/** The period of the same length before this one. */
export function before(one: Period): Period {
  const days = daysOf(one);
  return { ...one, from: shifted(one.from, -days), until: shifted(one.from, -1) };
}

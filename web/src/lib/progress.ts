// How far a run is, in words.
import type { Progress } from "../api/types";
import { text } from "../text";
import { number, size } from "./format";

export function share(progress: Progress | null): number | null {
  if (!progress?.total || progress.done == null) return null;
  return progress.done / progress.total;
}

function amount(progress: Progress, value: number): string {
  return progress.unit === "bytes" || !progress.unit ? size(value) : `${number(value)} ${progress.unit}`;
}

/** 12.3 of 40 GiB. */
export function done(progress: Progress | null): string {
  if (progress?.done == null) return text.run.noProgress;
  const ready = amount(progress, progress.done);
  return progress.total ? text.run.of(ready, amount(progress, progress.total)) : ready;
}

/** 31 MiB/s. */
export function rate(progress: Progress | null): string {
  return progress?.rate == null ? "" : `${amount(progress, progress.rate)}/s`;
}

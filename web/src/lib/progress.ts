// How far a run is, in words.
import type { Progress } from "../api/types";
import { text } from "../text";
import { size } from "./format";

export function share(progress: Progress | null): number | null {
  return progress?.bytes_expected ? progress.bytes / progress.bytes_expected : null;
}

/** 12.3 GiB of 40 GiB. */
export function done(progress: Progress | null): string {
  if (!progress) return text.run.noProgress;
  const ready = size(progress.bytes);
  return progress.bytes_expected ? text.run.of(ready, size(progress.bytes_expected)) : ready;
}

/** 31 MiB/s. */
export function rate(progress: Progress | null): string {
  return progress?.bytes_per_s == null ? "" : `${size(progress.bytes_per_s)}/s`;
}

// The documents about restores: where they may go, what they would do, and what they did.
import type { Progress, RunError, RunState, Verdict } from "./types";
import type { EntryType } from "./types-snapshots";

export interface RestorePlace {
  place: string;
  free_bytes: number | null;
  problem: string | null;
}
export interface RestorePlaces {
  machine: string;
  places: RestorePlace[];
  /** Plans whose files may be restored where they were. */
  original: string[];
}
export type RestoreOverwrite = "refuse" | "always" | "if_changed" | "never";
export type RestoreDestination =
  | { to: "folder"; place: string; folder?: string | null; contents_of?: string | null }
  | { to: "original" };
export interface RestoreRequest {
  repository: string;
  snapshot: string;
  paths: string[];
  destination: RestoreDestination;
  overwrite: RestoreOverwrite;
  verify: boolean;
  machine?: string | null;
}
export interface RestoreConflict {
  name: string;
  path: string;
  conflict: "content" | "newer" | "type";
  outcome: "replaced" | "kept" | "failed";
  type: EntryType;
  size: number | null;
  mtime: string;
  type_there: EntryType;
  size_there: number | null;
  mtime_there: string;
}
export interface RestorePreview {
  machine: string;
  target: string;
  files: number;
  dirs: number;
  others: number;
  hard_links: number;
  unchanged: number;
  corrected: number;
  skipped: number;
  devices_left_out: number;
  bytes: number;
  free_bytes: number | null;
  has_room: boolean | null;
  is_whole: boolean;
  conflicts_count: number;
  conflicts: RestoreConflict[] | null;
  warnings: string[];
  refused: string | null;
}
export interface Restore {
  run: string;
  repository: string;
  snapshot: string;
  time: string;
  host: string;
  plan: string | null;
  machine: string;
  original: boolean;
  target: string;
  paths_count: number;
  overwrite: RestoreOverwrite;
  verify: boolean;
  by: string;
  parent: string | null;
  state: RunState;
  verdict: Verdict | null;
  phase: string | null;
  progress: Progress | null;
  created: string;
  began: string | null;
  ended: string | null;
  error: RunError | null;
}
export interface RestoreFailure {
  path: string;
  why: string;
}
export interface RestoreResult {
  files: number;
  dirs: number;
  others: number;
  hard_links: number;
  unchanged: number;
  corrected: number;
  bytes: number;
  verified: number;
  skipped: number;
  privileges_dropped: number;
  devices_left_out: number;
  seconds: number;
  failures: RestoreFailure[] | null;
}
export interface RestoreDetail extends Restore {
  paths: string[] | null;
  contents_of: string | null;
  report: RestoreResult | null;
}

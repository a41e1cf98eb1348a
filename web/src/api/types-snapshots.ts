// The documents about what is in snapshots, and about what becomes of them.
import type { Snapshot } from "./types";

export interface SnapshotDetail extends Snapshot {
  run: string | null;
  report: unknown;
}
export type EntryType = "file" | "dir" | "symlink" | "fifo" | "socket" | "chardev" | "blockdev";
export interface Entry {
  /** For people. */
  name: string;
  /** For queries. */
  path: string;
  type: EntryType;
  size: number | null;
  mode: string;
  uid: number;
  gid: number;
  mtime: string;
  target: string | null;
}
export type ChangeKind = "added" | "removed" | "content" | "metadata" | "type";
export interface Change {
  name: string;
  path: string;
  change: ChangeKind;
  type: EntryType;
  size_before: number | null;
  size_after: number | null;
}
export interface SnapshotChanged {
  snapshot: string;
  now: string | null;
}

export interface SnapshotStanding {
  protected: boolean;
}

/** What keeps a snapshot, and until when. */
export interface KeptSnapshot {
  snapshot: string;
  time: string;
  protected: boolean;
  kept_by: string[];
  goes_after_runs: number | null;
  goes: string | null;
  foreseen_until: string | null;
}

/** What a rule says about a snapshot. */
export interface Reason {
  rule: string;
  period?: string;
  oldest?: boolean;
  nth?: number;
  kept_by?: string;
  tags?: string[];
  text: string;
}
export interface ForecastedSnapshot {
  id: string;
  time: string;
  host: string;
  tags: string[];
  protected: boolean;
  verdict: "keep" | "forget";
  reasons: Reason[];
  goes: { run: number; at: string } | null;
}
export interface Freed {
  snapshots: number;
  chunks: number;
  bytes: number;
  bytes_stored: number;
  bytes_in_whole_packs: number;
}
/** What a plan's retention will do, as `keepfast cleanup --dry-run --json` prints it. Without retention, the rest is missing. */
export interface Forecast {
  plan: string;
  repository: string;
  next_run: string | null;
  snapshots?: ForecastedSnapshot[];
  size?: { max_bytes: number; bytes: number } | null;
  braked_now?: string | null;
  braked_later?: string | null;
  runs?: number;
  until?: string | null;
  frees_next_run?: Freed;
  frees_in_all?: Freed;
}

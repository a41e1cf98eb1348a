// The documents that the API answers, as the dashboard names them.
export interface List<T> {
  items: T[];
  next: string | null;
}
export interface Health {
  state: "well" | "unwell";
  needs_setup: boolean;
  has_oidc: boolean;
}
export interface About {
  version: string;
  host: string;
  started: string;
  now: string;
  zone: string;
  public_url: string | null;
  has_managed_definitions: boolean;
  two_persons: string[];
  config_is_valid: boolean;
  config: string;
}
/** What may be done, as grants have it. */
export type Right =
  | "see"
  | "see_names"
  | "read_content"
  | "see_config"
  | "run"
  | "keep_snapshots"
  | "restore_elsewhere"
  | "restore_in_place"
  | "edit_plans"
  | "forget"
  | "prune"
  | "export_keys"
  | "see_audit"
  | "see_evidence"
  | "manage_members"
  | "manage_server";
/** What is asked for when a right is given. */
export interface NewGrant {
  role: string;
  scope: string;
  see_names: boolean;
  read_content: boolean;
}
export interface Grant extends NewGrant {
  rights: Right[];
}
export interface Session {
  user: string;
  display: string;
  by: "session" | "token";
  grants: Grant[];
  has_second_factor: boolean;
  expires: string | null;
}
export type Verdict = "ok" | "findings" | "failed" | "missed" | "skipped" | "cancelled" | "lost";
export type RunKind = "backup" | "check" | "prune" | "forget" | "copy" | "drill" | "restore";
export type RunState = "waiting" | "starting" | "running" | "ended";
export type Trigger = "schedule" | "catch_up" | "manual" | "api" | "retry";
export type Standing = "ok" | "manual" | "running" | "overdue" | "paused" | "disabled";
export interface Progress {
  files: number;
  files_expected: number | null;
  bytes: number;
  bytes_expected: number | null;
  bytes_per_s: number | null;
  left_s: number | null;
}
export interface RunError {
  category: string;
  fingerprint: string;
  message: string;
  advice: string;
}
export interface Run {
  run: string;
  kind: RunKind;
  plan: string | null;
  repository: string | null;
  host: string | null;
  trigger: Trigger;
  slot: string | null;
  slots: number;
  parent: string | null;
  root: string;
  attempt: number;
  state: RunState;
  verdict: Verdict | null;
  reason: string | null;
  phase: string | null;
  progress: Progress | null;
  created: string;
  not_before: string | null;
  began: string | null;
  ended: string | null;
  cancel_requested: string | null;
  server: string | null;
  error: RunError | null;
}
export interface Attempt {
  run: string;
  attempt: number;
  state: RunState;
  verdict: Verdict | null;
  ended: string | null;
}
export interface RunDetail extends Run {
  report: Record<string, unknown> | null;
  attempts: Attempt[];
  good_before: string | null;
}
export type LogLevel = "debug" | "info" | "warning" | "error";
export interface LogLine {
  at: string;
  level: LogLevel;
  message: string;
  fields: Record<string, unknown>;
}
export interface UpcomingRun {
  at: string;
  kind: RunKind;
  plan: string | null;
  repository: string;
  zone: string;
}
export interface Overview {
  at: string;
  zone: string;
  state: "ok" | "problems" | "overdue" | "empty";
  plans: {
    total: number;
    promising: number;
    kept: number;
    overdue: number;
    catching_up: number;
    paused: number;
    disabled: number;
    manual: number;
    without_snapshot: number;
  };
  overdue: { plan: string; since: string; achieved: string | null }[];
  last_proven: string | null;
  last_achieved: string | null;
  problems: { open: number; unseen: number };
  runs: { waiting: number; active: number };
  running: Run[];
  upcoming: UpcomingRun[];
}
export type CellState =
  | "ok"
  | "findings"
  | "failed"
  | "lost"
  | "missed"
  | "skipped"
  | "running"
  | "paused"
  | "not_due"
  | "unborn";
export interface Cell {
  state: CellState;
  verdicts: Partial<Record<Verdict, number>>;
  open: number;
}
export interface MatrixRow {
  plan: string;
  cells: Cell[];
}
export interface Matrix {
  zone: string;
  days: string[];
  plans: MatrixRow[];
}
export interface Pause {
  since: string;
  until: string | null;
  by: string;
  reason: string | null;
}
export interface LastRun {
  run: string;
  state: RunState;
  verdict: Verdict | null;
  began: string;
  ended: string | null;
  error: string | null;
}
export interface Plan {
  plan: string;
  description: string | null;
  project: string | null;
  repository: string;
  standing: Standing;
  promise_s: number | null;
  achieved: string | null;
  proven: string | null;
  overdue_since: string | null;
  next: string | null;
  zone: string;
  pause: Pause | null;
  last: LastRun | null;
}
export interface Schedule {
  cron: string | null;
  every_s: number | null;
  jitter_s: number;
  deadline_s: number | null;
  catches_up: boolean;
}
export interface UpcomingSlot {
  at: string;
  wall: string;
  notes: { code: string; text: string }[];
}
export interface Setting {
  path: string;
  value: string;
  origin: string;
}
export interface PlanDetail extends Plan {
  schedule: Schedule | null;
  upcoming: UpcomingSlot[];
  origin: string;
  settings: Setting[];
}
export interface HistoryPoint {
  run: string;
  trigger: Trigger;
  verdict: Verdict | null;
  due: string;
  slots: number;
  duration_s: number | null;
  files: number | null;
  bytes: number | null;
  new_bytes: number | null;
  stored_bytes: number | null;
  skipped: number | null;
}
export interface Problem {
  problem: number;
  subject: string;
  kind: string;
  opened: string;
  last_seen: string;
  seen: number;
  resolved: string | null;
  acknowledged: string | null;
  acknowledged_by: string | null;
  muted_until: string | null;
  document: Record<string, unknown>;
}
export interface Pattern {
  fingerprint: string;
  category: string;
  message: string;
  advice: string;
  first_seen: string;
  last_seen: string;
  seen: number;
  hosts: number;
  first_version: string;
  first_config: string;
  last_run: string;
}
export interface Notification {
  notification: number;
  at: string;
  kind: string;
  tone: "resolved" | "info" | "warning" | "error";
  subject: string;
  summary: string | null;
  advice: string | null;
  run: string | null;
  problem: number | null;
  is_read: boolean;
}
export interface Proof {
  run: string;
  verdict: Verdict;
  at: string;
}
export interface Repository {
  repository: string;
  description: string | null;
  url: string;
  project: string | null;
  plans: string[];
  snapshots: number | null;
  stored_bytes: number | null;
  measured: string | null;
  quota_bytes: number | null;
  checked: Proof | null;
  all_read_since: string | null;
  pruned: Proof | null;
}
export interface RepositoryDetail extends Repository {
  origin: string;
  settings: Setting[];
}
export interface StoragePoint {
  run: string;
  at: string;
  stored_bytes: number;
}
export interface Snapshot {
  snapshot: string;
  repository: string;
  time: string;
  host: string;
  plan: string | null;
  tags: string[];
  files: number;
  size_bytes: number;
  new_bytes: number;
  clean: boolean;
  checked: Omit<Proof, "run"> | null;
  drilled: Omit<Proof, "run"> | null;
}
export interface Target {
  target: string;
  description: string | null;
  kind: string;
  origin: string;
  waiting: number;
  undeliverable: number;
}
export interface Route {
  route: number;
  targets: string[];
  origin: string;
  settings: Setting[];
}
export interface Delivery {
  delivery: number;
  target: string;
  state: "waiting" | "sending" | "delivered" | "undeliverable";
  title: string | null;
  created: string;
  attempts: number;
  next_attempt: string | null;
  ended: string | null;
  error: string | null;
  advice: string | null;
  answer: string | null;
}
export interface ConfigFile {
  file: string;
  read: string;
}
export interface Diagnostic {
  code: string;
  severity: string;
  message: string;
  file: string | null;
  line: number | null;
  column: number | null;
  help: string[];
}
export interface User {
  user: string;
  display: string;
  grants: Grant[];
  has_second_factor: boolean;
  has_password: boolean;
  disabled: string | null;
  created: string;
  last_login: string | null;
}
export interface Token {
  token: number;
  name: string;
  user: string;
  grants: Grant[];
  created: string;
  expires: string | null;
  last_used: string | null;
  last_origin: string | null;
}
export interface SessionRow {
  session: number;
  user: string;
  origin: string;
  agent: string;
  began: string;
  last_seen: string;
  expires: string;
  is_own: boolean;
}
export interface AuditEntry {
  entry: number;
  at: string;
  who: string;
  origin: string;
  action: string;
  object: string;
  before: unknown;
  after: unknown;
  hash: string;
}
export interface AuditVerdict {
  is_sound: boolean;
  entries: number;
  fault: string | null;
  anchor: string | null;
}

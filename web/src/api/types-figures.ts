// The documents of figures over time, storage, cost, previews of prunes and searches of logs.
import type { List, LogLevel, RunKind, Verdict } from "./types";

export type Span = "day" | "week" | "month";
export interface BackupFigures {
  verdicts: Partial<Record<Verdict, number>>;
  open: number;
  due: number;
  good: number;
  success: number | null;
  measured: number;
  duration_median_s: number | null;
  duration_p95_s: number | null;
  files: number;
  bytes: number;
  read_bytes: number;
  new_bytes: number;
  stored_bytes: number;
  deduplication: number | null;
  compression: number | null;
}
export interface AnalyticsPoint extends BackupFigures {
  day: string;
  begins: string;
  ends: string;
}
export interface AnalyticsPlan extends BackupFigures {
  plan: string;
}
export interface Analytics {
  zone: string;
  by: Span;
  from: string;
  until: string;
  total: BackupFigures;
  points: AnalyticsPoint[];
  plans: AnalyticsPlan[];
}
export type PerformanceFigure = "duration" | "source_bytes" | "new_bytes" | "stored_bytes";
export type PerformanceState = "beyond" | "high" | "low" | "usual" | "unknown";
export interface Performance {
  plan: string;
  figure: PerformanceFigure;
  state: PerformanceState;
  value: number;
  usual: number | null;
  limit: number | null;
  factor: number | null;
  runs: number;
}
export interface StorageCost {
  currency: string;
  storage_per_gb_month_micros: number | null;
  egress_per_gb_micros: number | null;
  month_micros: number | null;
  month_in_90_days_micros: number | null;
  restore_micros: number | null;
}
export type AdviceUrgency = "low" | "medium" | "high";
export interface StorageAdvice {
  code: string;
  urgency: AdviceUrgency;
  value: number | null;
  plan: string | null;
  text: string;
}
export type NoForecast = "too_little_history" | "does_not_grow" | "no_limit" | "not_measured" | "beyond_ten_years";
export interface RepositoryStorage {
  repository: string;
  project: string | null;
  url: string;
  used: { bytes: number; measured_bytes: number; measured: string } | null;
  growth_bytes_per_day: number | null;
  quota_bytes: number | null;
  quota_warns: number | null;
  disk: { total_bytes: number; free_bytes: number } | null;
  full_on: string | null;
  no_forecast: NoForecast | null;
  cost: StorageCost | null;
  advice: StorageAdvice[];
}
export interface GrowthWindow {
  days: number;
  days_known: number;
  bytes_per_day: number;
  bytes_per_day_low: number;
  bytes_per_day_high: number;
  full_on: string | null;
  full_on_earliest: string | null;
  full_on_latest: string | null;
}
export interface StorageDay {
  at: string;
  bytes: number;
  added_bytes: number;
  measured: boolean;
}
export interface PlanGrowth {
  plan: string;
  stored_bytes_30_days: number;
  stored_bytes_90_days: number;
  share: number;
}
export interface StorageForecast extends RepositoryStorage {
  growth: GrowthWindow[];
  limit: { kind: "quota" | "disk"; left_bytes: number } | null;
  days: StorageDay[];
  plans: PlanGrowth[];
}
export interface PrunePlan {
  packs: number;
  bytes: number;
  unused_packs: number;
  unused_bytes: number;
  rewrite_packs: number;
  rewrite_bytes: number;
  rewrite_needed_bytes: number;
  running_packs: number;
  running_bytes: number;
  bytes_after: number;
  freed_bytes: number;
  waste_bytes: number;
  requests: number;
}
export interface PrunePreview {
  repository: string;
  working: boolean;
  working_since: string | null;
  found: string | null;
  plan: PrunePlan | null;
  error: string | null;
}
export interface FoundLine {
  at: string;
  level: LogLevel;
  message: string;
  fields: Record<string, unknown>;
  run: string;
  kind: RunKind;
  plan: string | null;
  repository: string | null;
  host: string | null;
}
export interface FoundLines extends List<FoundLine> {
  searched: {
    parts: number;
    lines: number;
    bytes: number;
    back_to: string | null;
    elsewhere: number;
    servers: string[];
    unreadable: number;
  };
}

// The documents of the API about drills, as the dashboard names them.
import type { Verdict } from "./types";

export type DrillVerdict = "pass" | "fail" | "not_tested";
export interface DrillTime {
  measured_s: number | null;
  goal_s: number | null;
  missed: boolean;
}
export interface DrillCheck {
  name: string;
  expected: string | null;
  found: string;
  right: boolean;
}
export interface DrillPart {
  name: string;
  verdict: DrillVerdict;
  why: string | null;
  checks: DrillCheck[];
}
export interface DrillRun {
  run: string;
  outcome: Verdict | null;
  ended: string | null;
  verdict: DrillVerdict | null;
  snapshot: string | null;
  of: string | null;
  restore: DrillTime;
  age: DrillTime;
  parts: DrillPart[];
  problems: string[];
  kept: string | null;
}
export interface Drill {
  drill: string;
  description: string | null;
  plan: string;
  repository: string;
  cron: string;
  last: DrillRun | null;
  passed: string | null;
}

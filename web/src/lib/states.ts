// What a state looks like: a colour of the tokens, a shape and a letter, so that no one needs to tell colours apart.
import type { CellState, Run, Standing, Verdict } from "../api/types";
import type { DrillVerdict } from "../api/types-drills";
import { text } from "../text";

export type Tone = "ok" | "findings" | "failed" | "missed" | "running" | "idle";
export type Shape = "disc" | "diamond" | "square" | "hollow" | "ring" | "bars" | "dot" | "none";

export interface Look {
  readonly tone: Tone;
  readonly shape: Shape;
  readonly letter: string;
  readonly word: string;
}

const look = (tone: Tone, shape: Shape, letter: string, word: string): Look => ({ tone, shape, letter, word });

export const cells: Record<CellState, Look> = {
  ok: look("ok", "disc", "✓", text.state.ok),
  findings: look("findings", "diamond", "F", text.state.findings),
  failed: look("failed", "square", "X", text.state.failed),
  lost: look("failed", "hollow", "L", text.state.lost),
  missed: look("missed", "hollow", "M", text.state.missed),
  skipped: look("idle", "hollow", "S", text.state.skipped),
  running: look("running", "ring", "R", text.state.running),
  paused: look("idle", "bars", "P", text.state.paused),
  not_due: look("idle", "dot", "", text.state.not_due),
  unborn: look("idle", "none", "", text.state.unborn),
};

const verdicts: Record<Verdict, Look> = {
  ok: cells.ok,
  findings: cells.findings,
  failed: cells.failed,
  missed: cells.missed,
  lost: cells.lost,
  skipped: cells.skipped,
  cancelled: look("idle", "hollow", "C", text.state.cancelled),
};

export const waiting = look("idle", "ring", "W", text.state.waiting);

/** A run that hasn't ended has no verdict, and looks like what it does. */
export function ofRun(run: Pick<Run, "state" | "verdict">): Look {
  if (run.verdict) return verdicts[run.verdict];
  return run.state === "waiting" ? waiting : cells.running;
}

export function ofVerdict(verdict: Verdict): Look {
  return verdicts[verdict];
}

const drills: Record<DrillVerdict, Look> = {
  pass: look("ok", "disc", "✓", text.drills.verdicts.pass),
  fail: look("failed", "square", "X", text.drills.verdicts.fail),
  not_tested: look("findings", "diamond", "?", text.drills.verdicts.not_tested),
};

export function ofDrill(verdict: DrillVerdict): Look {
  return drills[verdict];
}

export const standings: Record<Standing, Look> = {
  ok: look("ok", "disc", "✓", text.standing.ok),
  manual: look("idle", "dot", "", text.standing.manual),
  running: look("running", "ring", "R", text.standing.running),
  overdue: look("failed", "square", "!", text.standing.overdue),
  paused: look("idle", "bars", "P", text.standing.paused),
  disabled: look("idle", "hollow", "–", text.standing.disabled),
};

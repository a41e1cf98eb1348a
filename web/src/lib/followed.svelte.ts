// A run that a page shows: loaded again when something happens to it, and moved on by the live stream while it works.
import { onDestroy } from "svelte";
import { live } from "../api/live.svelte";
import type { Run } from "../api/types";
import { resource, type Resource } from "./resource.svelte";

export type Followed = Pick<Run, "run" | "state" | "verdict" | "phase" | "progress" | "began">;

const kinds = ["run.running", "run.starting", "run.phase", "run.ended", "run.cancel_requested", "run.queued"];

export function followed<T extends Followed>(
  describe: () => [key: string, load: (signal: AbortSignal) => Promise<T>],
): { readonly current: Resource<T> } {
  const found = resource<T>(describe, kinds);
  const stop = live.listen((event) => {
    const known = found.current.data;
    if (event.kind !== "run.progress" || !known || event.data.run !== known.run) return;
    found.current.set({ ...known, phase: event.data.phase, progress: event.data.progress });
  });
  onDestroy(stop);
  return found;
}

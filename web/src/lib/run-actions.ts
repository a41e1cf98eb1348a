// What can be done with a run, with the words that say what became of it.
import { call, path } from "../api/call";
import type { Run } from "../api/types";
import { text } from "../text";
import { act, onceKey } from "./act";
import { go, to } from "./router.svelte";

export function cancelRun(run: string): Promise<boolean> {
  return act(
    () => call<{ outcome: "ended" | "asked" | "over" }>("POST", path("runs", run, "cancel")),
    (answer) => text.run.cancelled[answer.outcome],
  );
}

export async function retryRun(run: Run): Promise<void> {
  await act(
    () => call<Run>("POST", path("runs", run.run, "retry"), { once: onceKey() }),
    (queued) => {
      go(to("runs", queued.run));
      return text.run.retried;
    },
  );
}

// What a notification says in a few words, and where it leads.
import type { Notification } from "../api/types";
import { text } from "../text";
import { to } from "./router.svelte";
import { subject } from "./subject";

export function title(item: Notification): string {
  const { name } = subject(item.subject);
  return text.news[item.kind]?.(name) ?? `${name}: ${item.kind}`;
}

export function href(item: Notification): string | null {
  if (item.run) return to("runs", item.run);
  if (item.kind === "delivery.undeliverable") return "/notifications?tab=deliveries";
  return item.problem && item.tone !== "resolved" ? "/problems" : subject(item.subject).href;
}

/** Events that are notifications. */
export const kinds = ["problem.opened", "problem.resolved", "run.ended", "run.quarantined", "delivery.undeliverable"];

// What an event or a problem is about: its name, and the page where it is shown.
import { to } from "./router.svelte";

export interface Subject {
  readonly kind: string;
  readonly name: string;
  readonly href: string | null;
}

/** From `plan:www`. */
export function subject(text: string): Subject {
  const [kind = "", ...rest] = text.split(":");
  const name = rest.join(":") || text;
  const pages: Record<string, string> = { plan: to("plans", name), repository: to("repositories", name) };
  return { kind, name, href: kind === "target" ? "/notifications?tab=targets" : (pages[kind] ?? null) };
}

// What snapshots are called, and what can be done with one, with the words that say what became of it.
import { call, path, type Query } from "../api/call";
import type { List, Snapshot } from "../api/types";
import type { SnapshotChanged } from "../api/types-snapshots";
import { text } from "../text";
import { act } from "./act";
import { dateTime } from "./format";
import { go, to } from "./router.svelte";
import { session } from "./session.svelte";
import { toasts } from "./toasts.svelte";

type Named = Pick<Snapshot, "repository" | "snapshot" | "plan" | "host" | "time">;

/** What a snapshot is of: its plan, or else its host. */
export const subjectOf = (one: Pick<Snapshot, "plan" | "host">) => one.plan ?? one.host;

/** www, 2026-11-29 01:30. */
export const nameOf = (one: Named) => text.snapshot.title(subjectOf(one), dateTime(one.time, session.zone));

/** Labels by which plans find their snapshots are no tags of people. */
export const tagsOf = (one: Pick<Snapshot, "tags">) => one.tags.filter((tag) => !tag.startsWith("plan:"));

/** The address of a page about a snapshot. */
export const pageOf = (one: Pick<Snapshot, "repository" | "snapshot">, ...more: string[]) =>
  to("snapshots", one.repository, one.snapshot, ...more);

/** An address below the page of a snapshot, with a query. */
export function withQuery(address: string, query: Record<string, string | undefined>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value) parameters.set(name, value);
  const said = parameters.toString();
  return address + (said && `?${said}`);
}

/** Snapshots of the same thing: of its plan, or without one of its host. */
export const siblingsQuery = (one: Named, more: Query = {}): Query => ({
  repository: one.repository,
  host: one.host,
  ...(one.plan && { plan: one.plan }),
  ...more,
});

const decide = (one: Named, deed: string, body?: unknown) =>
  call<SnapshotChanged>("POST", path("snapshots", one.repository, one.snapshot, deed), { ...(body !== undefined && { body }) });

export function protect(one: Named, wanted: boolean): Promise<boolean> {
  const t = text.snapshot;
  return act(
    () => decide(one, wanted ? "protect" : "unprotect"),
    () => (wanted ? t.protectedNow : t.unprotectedNow)(nameOf(one)),
  );
}

/** Forgets a snapshot; the message that says so has the way back. */
export async function forget(one: Named): Promise<void> {
  const t = text.snapshot;
  const done = await act(() => decide(one, "forget"), "");
  if (!done) return;
  go(withQuery("/snapshots", one.plan ? { plan: one.plan } : {}));
  toasts.show({ tone: "ok", text: t.forgotten(nameOf(one)), action: { label: t.undo, run: () => void undelete(one) } });
}

async function undelete(one: Named): Promise<void> {
  await act(
    () => decide(one, "undelete"),
    (changed) => {
      go(pageOf({ ...one, snapshot: changed.now ?? one.snapshot }));
      return text.snapshot.back(nameOf(one));
    },
  );
}

/** Gives and takes tags; the page of the snapshot that stands in its place then is shown. */
export function tag(one: Named, add: string[], remove: string[]): Promise<boolean> {
  const t = text.snapshot;
  return act(
    () => decide(one, "tags", { add, remove }),
    (changed) => {
      go(pageOf({ ...one, snapshot: changed.now ?? one.snapshot }), { replace: true });
      return add[0] !== undefined ? t.tagged(add[0]) : t.untagged(remove[0] ?? "");
    },
  );
}

/** All snapshots of the same thing, the newest first; as many as a person can choose from. */
export async function siblings(one: Named, signal: AbortSignal): Promise<Snapshot[]> {
  const most = 2000;
  const all: Snapshot[] = [];
  let after: string | null = null;
  do {
    const page: List<Snapshot> = await call("GET", "/snapshots", { query: siblingsQuery(one, { limit: 500, after }), signal });
    all.push(...page.items);
    after = page.next;
  } while (after && all.length < most);
  return all;
}

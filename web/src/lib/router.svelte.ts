// Which page is shown: from the address to a component that is loaded when it is needed first.
import type { Component } from "svelte";

type Params = Record<string, string>;
type Page = Component<{ params: Params }>;

interface Route {
  /** Parts of the path; one that begins with a colon is a parameter. */
  readonly parts: readonly string[];
  readonly section: string;
  readonly load: () => Promise<{ default: Component<any> }>;
}

const page = (path: string, load: Route["load"], section?: string): Route => {
  const parts = path.split("/").filter(Boolean);
  return { parts, section: section ?? parts[0] ?? "", load };
};

const routes: readonly Route[] = [
  page("/", () => import("../pages/Overview.svelte")),
  page("/plans", () => import("../pages/Plans.svelte")),
  page("/plans/:plan", () => import("../pages/Plan.svelte")),
  page("/plans/:plan/retention", () => import("../pages/Retention.svelte")),
  page("/runs", () => import("../pages/Runs.svelte")),
  page("/runs/:run", () => import("../pages/Run.svelte")),
  page("/repositories", () => import("../pages/Repositories.svelte")),
  page("/repositories/:repository", () => import("../pages/Repository.svelte")),
  page("/snapshots", () => import("../pages/Snapshots.svelte")),
  page("/analytics", () => import("../pages/Analytics.svelte")),
  page("/storage", () => import("../pages/Storage.svelte")),
  page("/snapshots/:repository/:snapshot", () => import("../pages/Snapshot.svelte")),
  page("/snapshots/:repository/:snapshot/files", () => import("../pages/Browse.svelte")),
  page("/snapshots/:repository/:snapshot/diff", () => import("../pages/Diff.svelte")),
  page("/restore", () => import("../pages/Restore.svelte"), "snapshots"),
  page("/restores/:run", () => import("../pages/RestoreRun.svelte"), "snapshots"),
  page("/drills", () => import("../pages/Drills.svelte")),
  page("/drills/:drill", () => import("../pages/Drill.svelte")),
  page("/problems", () => import("../pages/Problems.svelte")),
  page("/notifications", () => import("../pages/Notifications.svelte")),
  page("/config", () => import("../pages/Config.svelte")),
  page("/config/new", () => import("../pages/Definition.svelte")),
  page("/config/managed/:name", () => import("../pages/Definition.svelte")),
  page("/projects", () => import("../pages/Projects.svelte")),
  page("/projects/:project", () => import("../pages/Project.svelte")),
  page("/approvals", () => import("../pages/Approvals.svelte")),
  page("/schedule", () => import("../pages/Schedule.svelte")),
  page("/access", () => import("../pages/Access.svelte")),
  page("/audit", () => import("../pages/Audit.svelte")),
  page("/logs", () => import("../pages/Logs.svelte")),
  page("/account", () => import("../pages/Account.svelte")),
];

const lost = page("/lost", () => import("../pages/NotFound.svelte"));

class Router {
  path = $state(location.pathname);
  query = $state.raw(new URLSearchParams(location.search));
  section = $state("");
  params = $state.raw<Params>({});
  /** The component; null until the first one is loaded. */
  page = $state.raw<Page | null>(null);
  /** Whether the code of a page couldn't be loaded, as after an update of the server. */
  broken = $state(false);
}

export const router = new Router();

function match(path: string): [Route, Params] {
  const parts = path.split("/").filter(Boolean);
  for (const route of routes) {
    if (route.parts.length !== parts.length) continue;
    const params: Params = {};
    const fits = route.parts.every((expected, at) => {
      const part = decodeURIComponent(parts[at] ?? "");
      if (!expected.startsWith(":")) return expected === part;
      params[expected.slice(1)] = part;
      return true;
    });
    if (fits) return [route, params];
  }
  return [lost, {}];
}

let turn = 0;

async function show(focus: boolean): Promise<void> {
  const mine = ++turn;
  const path = location.pathname;
  const [route, params] = match(path);
  router.section = route.section;
  try {
    const loaded = await route.load();
    if (mine !== turn) return;
    router.path = path;
    router.query = new URLSearchParams(location.search);
    router.params = params;
    router.page = loaded.default;
    router.broken = false;
  } catch {
    router.broken = mine === turn;
  }
  if (!focus) return;
  // The heading of the new page gets the focus: readers hear where they are, and Tab goes on from there.
  requestAnimationFrame(() => {
    document.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  });
}

/** Goes to a page of the dashboard. Without `focus`, what has the focus keeps it, as where one goes on within a page. */
export function go(to: string, { replace = false, focus = true } = {}): void {
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  void show(focus);
}

/** Changes parameters of the address without leaving the page; an empty one goes. */
export function setQuery(changes: Record<string, string | undefined>): void {
  const query = new URLSearchParams(router.query);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  history.replaceState(null, "", location.pathname + (text && `?${text}`));
  router.query = query;
}

/** An address from parts that may have any characters. */
export function to(...parts: string[]): string {
  return `/${parts.map(encodeURIComponent).join("/")}`;
}

export function startRouter(): void {
  addEventListener("popstate", () => void show(true));
  addEventListener("click", (event) => {
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    const link = (event.target as Element | null)?.closest?.("a[href]") as HTMLAnchorElement | null;
    if (!plain || !link || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
    if (link.origin !== location.origin || link.pathname.startsWith("/api/") || link.hash) return;
    event.preventDefault();
    if (link.href !== location.href) go(link.pathname + link.search);
  });
  void show(false);
}

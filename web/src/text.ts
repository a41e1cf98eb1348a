// All words of the dashboard, in one place: a translation is another object of this shape.
import { pagesText } from "./text-pages";

const plural = (count: number, one: string, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

const shared = {
  name: "keepfast",
  again: "Try again",
  close: "Close",
  cancel: "Cancel",
  save: "Save",
  more: "Show more",
  all: "All",
  any: "Any",
  none: "none",
  clear: "Clear all filters",
  remove: "remove",
  loading: "Loading…",
  skip: "Skip to content",
  signOut: "Sign out",
  actions: "Actions",
  export: { label: "Export", csv: "CSV, for spreadsheets", json: "JSON, for programs" },
  copyCommand: "Copy the command",
  commandCopied: "The command is on the clipboard",
  notAllowed: "Your role doesn't allow this.",
  user: (name: string) => `Signed in as ${name}`,
  failed: (title: string, detail: string) => (detail ? `${title}. ${detail}` : title),
  count: plural,

  nav: {
    label: "Pages",
    home: "keepfast: overview",
    overview: "Overview",
    plans: "Plans",
    runs: "Runs",
    snapshots: "Snapshots",
    repositories: "Repositories",
    problems: "Problems",
    figures: "Figures",
    analytics: "Analytics",
    storage: "Storage and cost",
    manage: "Manage",
    drills: "Drills",
    schedule: "Schedule",
    notifications: "Notifications",
    projects: "Projects",
    config: "Configuration",
    access: "Users and tokens",
    approvals: "Second person",
    audit: "Audit",
    logs: "Logs",
    account: "Account",
    more: "More",
  },

  theme: { system: "System's theme", light: "Light theme", dark: "Dark theme" },

  live: { on: "Live", off: "Not live: connecting" },

  unreachable: {
    title: "The server can't be reached",
    why: "It may be restarting. This page goes on as soon as the server answers.",
  },

  updated: {
    title: "This page couldn't be loaded",
    why: "The server was updated, or can't be reached. What you see here is older than the server.",
    reload: "Reload",
  },

  signIn: {
    title: "Sign in",
    setup: "Make the first user",
    setupWhy: "This server has no users yet. The first one is an administrator.",
    token: "One-time token",
    tokenHelp: "The server printed it when it started: look at its console or its journal.",
    user: "User",
    password: "Password",
    passwordHelp: "At least 12 characters. A sentence is easier to remember than symbols.",
    tooShort: "A password has at least 12 characters",
    again: "Password again",
    differs: "The two passwords differ",
    code: "Code",
    codeHelp: "The six digits that your authenticator shows, or a recovery code.",
    enter: "Sign in",
    make: "Make the user and sign in",
    expired: "Your session has ended. Sign in again; you come back to the page where you were.",
  },

  proof: {
    title: "Your password again",
    titleCode: "A code of your second factor",
    why: "This can lose data or give rights away, so the server wants to know that it is you.",
    goOn: "Go on",
  },

  palette: {
    open: "Go to…",
    hint: "A page, a plan, a repository or a run's id",
    none: "Nothing has this name.",
    page: "page",
    plan: "plan",
    repository: "repository",
    run: "run",
    snapshots: "in snapshots",
    search: (words: string) => `Search for “${words}”`,
  },

  news: {
    "problem.opened": (name) => `${name}: a problem`,
    "problem.resolved": (name) => `${name}: well again`,
    "run.ended": (name) => `${name}: a run went wrong`,
    "run.quarantined": (name) => `${name}: lost too often, not tried any more`,
    "delivery.undeliverable": (name) => `A message to ${name} can't be delivered`,
  } as Record<string, (name: string) => string>,

  bell: {
    label: (unread: number) => (unread ? `Notifications: ${unread} unread` : "Notifications"),
    title: "Notifications",
    readAll: "Mark all as read",
    none: "Nothing has happened that you should know of.",
    all: "All notifications and who hears of what",
    show: "Show",
  },

  state: {
    ok: "Ok",
    findings: "Findings",
    failed: "Failed",
    missed: "Missed",
    skipped: "Skipped",
    cancelled: "Cancelled",
    lost: "Lost",
    running: "Running",
    waiting: "Waiting",
    paused: "Paused",
    not_due: "Not due",
    unborn: "Not defined yet",
  },

  standing: {
    ok: "Keeps its promise",
    manual: "Promises nothing",
    running: "Late, catching up",
    overdue: "Overdue",
    paused: "Paused",
    disabled: "Disabled",
  },

  kind: {
    backup: "backup",
    check: "check",
    prune: "prune",
    forget: "retention",
    copy: "copy",
    drill: "drill",
    restore: "restore",
  },

  trigger: {
    schedule: "on schedule",
    catch_up: "catching up",
    manual: "by hand",
    api: "through the API",
    retry: "tried again",
  },

  phase(phase: string): string {
    const known: Record<string, string> = {
      before: "hooks before",
      opening: "opening the repository",
      backup: "reading and storing",
      after: "hooks after",
      retention: "retention",
      undo: "undoing hooks",
      check: "checking",
      checks: "looking at what is there",
      restore: "writing files",
      verify: "reading back",
      prune: "pruning",
    };
    return known[phase] ?? phase;
  },
};

export const text = { ...shared, ...pagesText(plural) };

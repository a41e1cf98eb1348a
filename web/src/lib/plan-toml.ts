// From a form to the definition of a plan, as a file has it.
export interface Draft {
  name: string;
  repository: string;
  paths: string;
  exclude: string;
  cron: string;
  daily: number;
  weekly: number;
  monthly: number;
}

/** A TOML string: JSON's escapes are a part of TOML's. */
const quoted = (text: string) => JSON.stringify(text);

const lines = (text: string) =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

/** Names that need no quotes as a key. */
export const isName = (name: string) => /^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(name);

export function planToml(draft: Draft): string {
  const kept = (["daily", "weekly", "monthly"] as const)
    .filter((rule) => draft[rule] > 0)
    .map((rule) => `${rule} = ${draft[rule]}`);
  const list = (text: string) => `[${lines(text).map(quoted).join(", ")}]`;
  return [
    `[plan.${draft.name || "NAME"}]`,
    `repository = ${quoted(draft.repository)}`,
    `source     = [{ files = ${list(draft.paths)} }]`,
    ...(lines(draft.exclude).length ? [`exclude    = ${list(draft.exclude)}`] : []),
    `schedule   = { cron = ${quoted(draft.cron)} }`,
    ...(kept.length ? [`retention  = { ${kept.join(", ")}, at_least = 3 }`] : []),
    "",
  ].join("\n");
}

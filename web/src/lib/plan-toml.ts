// From a form to the definition of a plan, as a file has it.
export interface Form {
  name: string;
  repository: string;
  paths: string;
  exclude: string;
  cron: string;
  daily: number;
  weekly: number;
  monthly: number;
}

/** A TOML string: JSON's escapes are a part of TOML's, which has one more. */
export const quoted = (text: string) => JSON.stringify(text).replaceAll("\x7f", "\\u007f");

const lines = (text: string) =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

/** Names that need no quotes as a key. */
export const isName = (name: string) => /^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(name);

export function planToml(form: Form): string {
  const kept = (["daily", "weekly", "monthly"] as const)
    .filter((rule) => form[rule] > 0)
    .map((rule) => `${rule} = ${form[rule]}`);
  const list = (text: string) => `[${lines(text).map(quoted).join(", ")}]`;
  return [
    `[plan.${form.name || "NAME"}]`,
    `repository = ${quoted(form.repository)}`,
    `source     = [{ files = ${list(form.paths)} }]`,
    ...(lines(form.exclude).length ? [`exclude    = ${list(form.exclude)}`] : []),
    `schedule   = { cron = ${quoted(form.cron)} }`,
    ...(kept.length ? [`retention  = { ${kept.join(", ")}, at_least = 3 }`] : []),
    "",
  ].join("\n");
}

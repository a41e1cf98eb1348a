// From a form to the definition of a repository, and to the command that makes it.
import { quoted } from "./plan-toml";

export interface RepositoryForm {
  name: string;
  kind: "directory" | "s3";
  directory: string;
  bucket: string;
  endpoint: string;
  accessKey: string;
  secretKey: string;
  password: string;
  checks: boolean;
  prunes: boolean;
}

const file = (path: string) => `{ file = ${quoted(path.trim())} }`;
export const urlOf = (form: RepositoryForm) =>
  form.kind === "s3" ? `s3://${form.bucket.trim().replace(/^s3:\/\//, "")}` : form.directory.trim();

export function repositoryToml(form: RepositoryForm): string {
  const s3 = form.kind === "s3";
  return [
    `[repository.${form.name || "NAME"}]`,
    `url        = ${quoted(urlOf(form))}`,
    `password   = ${file(form.password)}`,
    ...(s3 && form.endpoint.trim() ? [`endpoint   = ${quoted(form.endpoint.trim())}`] : []),
    ...(s3 && form.accessKey.trim() ? [`access_key = ${file(form.accessKey)}`] : []),
    ...(s3 && form.secretKey.trim() ? [`secret_key = ${file(form.secretKey)}`] : []),
    ...(form.checks ? ['check      = { cron = "0 4 * * 6", read_data = "5%" }'] : []),
    ...(form.prunes ? ['prune      = { cron = "0 6 * * 0" }'] : []),
    "",
  ].join("\n");
}

/** A word of a shell, quoted if it has to be. */
const word = (text: string) => (/^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** The command that makes the repository, on the machine of the server. */
export function initCommand(url: string, password: string, endpoint = ""): string {
  return ["keepfast", "-r", word(url), ...(endpoint ? ["--s3-endpoint", word(endpoint)] : []), "--password-file", word(password), "init"].join(" ");
}

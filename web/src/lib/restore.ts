// A restore as the address of its pages has it, so that a page that is loaded again knows what was chosen.
import type { RestoreOverwrite, RestoreRequest } from "../api/types-restores";

/** Paths that one can choose one by one: an address has room for these. */
export const pathsMax = 50;

export interface Wanted {
  repository: string;
  snapshot: string;
  /** Everything if there are none. */
  paths?: readonly string[];
}

/** The address of the page on which it is restored. */
export function restoreAddress({ repository, snapshot, paths = [] }: Wanted): string {
  const query = new URLSearchParams({ repository, snapshot });
  for (const path of paths) query.append("path", path);
  return `/restore?${query}`;
}

export const steps = ["what", "when", "where", "look"] as const;
export type Step = (typeof steps)[number];
export const overwrites = ["refuse", "if_changed", "always", "never"] as const;

/** All that was chosen so far. */
export interface Choices {
  readonly step: Step;
  readonly repository: string;
  readonly snapshot: string;
  readonly paths: readonly string[];
  readonly to: "folder" | "original" | null;
  readonly place: string | null;
  readonly folder: string;
  readonly contentsOf: string | null;
  readonly overwrite: RestoreOverwrite;
  readonly verify: boolean;
}

/** Reads what an address says; what makes no sense is not there. */
export function choicesOf(query: URLSearchParams): Choices {
  const one = <T extends string>(name: string, of: readonly T[], otherwise: T): T =>
    of.find((value) => value === query.get(name)) ?? otherwise;
  const to = query.get("to");
  return {
    step: one("step", steps, "what"),
    repository: query.get("repository") ?? "",
    snapshot: query.get("snapshot") ?? "",
    paths: query.getAll("path").slice(0, pathsMax),
    to: to === "folder" || to === "original" ? to : null,
    place: query.get("place"),
    folder: query.get("folder") ?? "",
    contentsOf: query.get("contents_of"),
    overwrite: one("overwrite", overwrites, to === "original" ? "if_changed" : "refuse"),
    verify: query.get("verify") !== "no",
  };
}

/** Whether a name of a folder stays below where it is made. */
export const isFolder = (folder: string) =>
  folder === "" || (!folder.startsWith("/") && !folder.split("/").some((name) => name === ".." || name === "." || name === ""));

/** The request; nothing as long as something is missing. */
export function requestOf(choices: Choices, machine: string): RestoreRequest | null {
  const { repository, snapshot, paths, to, place, folder, contentsOf, overwrite, verify } = choices;
  if (!repository || !snapshot || !to || !isFolder(folder)) return null;
  if (to === "folder" && !place) return null;
  return {
    repository,
    snapshot,
    paths: [...paths],
    destination:
      to === "original" || !place
        ? { to: "original" }
        : { to: "folder", place, ...(folder && { folder: folder.replaceAll("%", "%25") }), ...(contentsOf && { contents_of: contentsOf }) },
    overwrite: to === "original" && overwrite === "refuse" ? "if_changed" : overwrite,
    verify,
    machine,
  };
}

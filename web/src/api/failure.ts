// Why a request wasn't carried out, as the server says it, or as the network does.
import type { Diagnostic } from "./types";

export class Failure extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    /** What is wrong with definitions that were sent. */
    readonly diagnostics: readonly Diagnostic[] = [],
  ) {
    super(detail || title);
  }

  static from(error: unknown): Failure {
    if (error instanceof Failure) return error;
    return new Failure("unreachable", 0, "The server can't be reached", "It may be restarting. This page tries again.");
  }

  /** The answer of a server that isn't a success. A proxy in between may answer anything. */
  static async of(response: Response): Promise<Failure> {
    const fallback = `The answer was ${response.status} ${response.statusText}`.trim();
    try {
      const body = (await response.json()) as Record<"code" | "title" | "detail" | "diagnostics", unknown>;
      const text = (value: unknown, otherwise: string) => (typeof value === "string" ? value : otherwise);
      const diagnostics = Array.isArray(body.diagnostics) ? (body.diagnostics as Diagnostic[]) : [];
      return new Failure(text(body.code, "unknown"), response.status, text(body.title, fallback), text(body.detail, ""), diagnostics);
    } catch {
      return new Failure("unknown", response.status, fallback, "");
    }
  }
}

/** It isn't done, and isn't refused: a second person is asked. */
export class Asked extends Failure {
  constructor(readonly approval: string) {
    super("second_person", 202, "A second person has to agree", "");
  }
}

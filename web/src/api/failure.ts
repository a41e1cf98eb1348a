// Why a request wasn't carried out, as the server says it, or as the network does.
export class Failure extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
    readonly title: string,
    readonly detail: string,
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
      const body = (await response.json()) as { code?: unknown; title?: unknown; detail?: unknown };
      const text = (value: unknown, otherwise: string) => (typeof value === "string" ? value : otherwise);
      return new Failure(text(body.code, "unknown"), response.status, text(body.title, fallback), text(body.detail, ""));
    } catch {
      return new Failure("unknown", response.status, fallback, "");
    }
  }
}

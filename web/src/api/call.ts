// Requests to the API. Everything that the dashboard knows or does comes through here.
import { Asked, Failure } from "./failure";

export type Query = Record<string, string | number | boolean | null | undefined>;

export interface Options {
  readonly query?: Query;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
  /** The version that an edit is based on. */
  readonly etag?: string | null;
  /** What is written must not be there. */
  readonly fresh?: boolean;
  /** For what starts something: the same key starts it once, however often the request is sent. */
  readonly once?: string;
}

export const base = "/api/v1";

/** An address of the API. */
export function address(path: string, query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value != null && value !== "" && value !== false) parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return base + path + (text && `?${text}`);
}

/** A path from parts that may have any characters. */
export function path(...parts: (string | number)[]): string {
  return `/${parts.map((part) => encodeURIComponent(part)).join("/")}`;
}

export async function send(method: string, where: string, options: Options = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  if (options.etag) headers["If-Match"] = options.etag;
  if (options.fresh) headers["If-None-Match"] = "*";
  if (options.once) headers["Idempotency-Key"] = options.once;
  const response = await fetch(address(where, options.query), {
    method,
    headers,
    credentials: "same-origin",
    ...(options.body !== undefined && { body: JSON.stringify(options.body) }),
    ...(options.signal && { signal: options.signal }),
  });
  if (response.ok) return response;
  const failure = await Failure.of(response);
  if (failure.code === "not_signed_in") dispatchEvent(new Event("keepfast:signed-out"));
  throw failure;
}

/** Sends a request; the answer is the document in its body, or undefined if it has none. */
export async function call<T>(method: string, where: string, options: Options = {}): Promise<T> {
  const response = await send(method, where, options);
  return document<T>(response);
}

/** The document of an answer. One that says that a second person is asked is thrown: nothing is done. */
export async function document<T>(response: Response): Promise<T> {
  if (response.status === 204) return undefined as T;
  const text = await response.text();
  const answer = (text ? JSON.parse(text) : undefined) as T & { approval?: string; requested_by?: string };
  if (response.status === 202 && answer?.approval && answer.requested_by) throw new Asked(answer.approval);
  return answer;
}

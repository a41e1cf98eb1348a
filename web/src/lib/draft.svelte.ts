// A managed file while it is written: what the server says of it, and how it is saved.
import { call, document, path, send } from "../api/call";
import { Failure } from "../api/failure";
import type { CheckedConfig, ConfigWritten, ManagedFile } from "../api/types-control";
import { act } from "./act";
import { text as words } from "../text";

const delayMs = 350;

/** A name that a managed file may have, from any words. */
export function fileName(of: string): string {
  return of.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 64);
}

export const isFileName = (name: string) => /^[a-z0-9-]{1,64}$/.test(name);

export interface Conflict {
  /** What the file says now; null if it is gone. */
  readonly text: string | null;
  readonly etag: string | null;
}

/** What was left without being saved, by the name of its file: it is there when one comes back. */
const left = new Map<string, string>();

export class Draft {
  name = $state("");
  text = $state("");
  /** What the server says of it; null until it has. */
  checked = $state.raw<CheckedConfig | null>(null);
  checking = $state(false);
  failure = $state.raw<Failure | null>(null);
  saving = $state(false);
  /** That someone else has changed it meanwhile. */
  conflict = $state.raw<Conflict | null>(null);
  written = $state.raw<ConfigWritten | null>(null);
  /** What is saved; null if nothing is. */
  base = $state.raw<string | null>(null);
  #etag: string | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #abort: AbortController | undefined;

  get isNew(): boolean {
    return this.base === null;
  }

  get isChanged(): boolean {
    return this.base === null ? this.text.trim() !== "" : this.text !== this.base;
  }

  get canSave(): boolean {
    return this.isChanged && !this.saving && isFileName(this.name) && this.checked?.is_valid === true && this.checked.is_allowed;
  }

  async load(name: string): Promise<void> {
    this.name = name;
    const response = await send("GET", path("config", "managed", name));
    const file = await document<ManagedFile>(response);
    this.#take(file.text, response.headers.get("ETag"));
    this.text = left.get(name) ?? this.text;
    left.delete(name);
    await this.check();
  }

  #take(text: string, etag: string | null): void {
    this.base = this.text = text;
    this.#etag = etag;
  }

  /** Asks the server soon. While one writes, one answer for many letters is enough. */
  checkSoon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.check(), delayMs);
  }

  async check(): Promise<void> {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    if (!isFileName(this.name) || !this.text.trim()) {
      this.checked = null;
      this.checking = false;
      return;
    }
    const abort = new AbortController();
    this.#abort = abort;
    this.checking = true;
    try {
      const body = { files: [{ name: this.name, text: this.text }] };
      const checked = await call<CheckedConfig>("POST", "/config/check", { body, signal: abort.signal });
      if (abort.signal.aborted) return;
      this.checked = checked;
      this.failure = null;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.failure = Failure.from(error);
      this.checked = null;
    }
    this.checking = false;
  }

  /** Saves it. Returns whether it is saved; if someone else has changed it, `conflict` says so. */
  async save(): Promise<boolean> {
    this.saving = true;
    const done = await act(
      async () => {
        try {
          const headers = this.#etag ? { etag: this.#etag } : { fresh: true };
          const text = this.text;
          const response = await send("PUT", path("config", "managed", this.name), { body: { text }, ...headers });
          this.written = await document<ConfigWritten>(response);
          this.base = text;
          this.#etag = response.headers.get("ETag");
          this.conflict = null;
          return true;
        } catch (error) {
          const failure = Failure.from(error);
          if (failure.code === "changed" || failure.code === "precondition_needed") {
            await this.#look();
            return false;
          }
          if (failure.code !== "invalid_config") throw error;
          this.checked = { is_valid: false, is_allowed: true, refusal: null, diagnostics: [...failure.diagnostics], changes: [] };
          throw error;
        }
      },
      (saved) => (saved ? words.definition.saved(this.name) : ""),
    );
    this.saving = false;
    return done && this.conflict === null;
  }

  /** What someone else has made of it. */
  async #look(): Promise<void> {
    try {
      const response = await send("GET", path("config", "managed", this.name));
      const file = await document<ManagedFile>(response);
      this.conflict = { text: file.text, etag: response.headers.get("ETag") };
    } catch (error) {
      if (Failure.from(error).status !== 404) throw error;
      this.conflict = { text: null, etag: null };
    }
  }

  takeTheirs(): void {
    if (this.conflict?.text == null) return;
    this.#take(this.conflict.text, this.conflict.etag);
    this.conflict = null;
    void this.check();
  }

  async keepMine(): Promise<boolean> {
    this.#etag = this.conflict?.etag ?? null;
    if (this.#etag === null) this.base = null;
    this.conflict = null;
    return this.save();
  }

  async remove(): Promise<boolean> {
    return act(
      async () => {
        this.text = this.base ?? "";
        this.written = await call<ConfigWritten>("DELETE", path("config", "managed", this.name), { etag: this.#etag });
      },
      () => words.definition.removed(this.name),
    );
  }

  stop(): void {
    if (this.base !== null && this.isChanged) left.set(this.name, this.text);
    clearTimeout(this.#timer);
    this.#abort?.abort();
  }
}

// What a page shows of the server: loaded once, kept between pages, loaded again when an event says that it changed.
import { onDestroy, untrack } from "svelte";
import { Failure } from "../api/failure";
import { live } from "../api/live.svelte";

/** What was loaded last, by key: a page that is opened again shows it at once, and then what is true now. */
const kept = new Map<string, unknown>();
const keptMax = 60;

/** Forgets what was kept, as when another user signs in. */
export function forgetKept(): void {
  kept.clear();
}

export class Resource<T> {
  data = $state.raw<T | undefined>(undefined);
  failure = $state.raw<Failure | undefined>(undefined);
  loading = $state(false);
  #abort: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #load: (signal: AbortSignal) => Promise<T>;
  #key: string;

  constructor(key: string, load: (signal: AbortSignal) => Promise<T>) {
    this.#key = key;
    this.#load = load;
    this.data = kept.get(key) as T | undefined;
  }

  async reload(): Promise<void> {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.loading = true;
    try {
      const data = await this.#load(abort.signal);
      if (abort.signal.aborted) return;
      this.set(data);
      this.failure = undefined;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.failure = Failure.from(error);
    }
    this.loading = false;
  }

  /** Loads again soon. Events come in bursts, and one answer is enough for all of a burst. */
  reloadSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.reload();
    }, 250);
  }

  /** Replaces what is shown, as by a delta of the live stream. */
  set(data: T): void {
    this.data = data;
    kept.delete(this.#key);
    kept.set(this.#key, data);
    if (kept.size > keptMax) kept.delete(kept.keys().next().value as string);
  }

  stop(): void {
    this.#abort?.abort();
    clearTimeout(this.#timer);
  }
}

/**
 * What a component shows. `describe` may read reactive values: when they change, another resource is loaded.
 * It loads again when an event begins with one of `on` (`run.`, `problem.`), and when the stream was broken.
 */
export function resource<T>(
  describe: () => [key: string, load: (signal: AbortSignal) => Promise<T>],
  on: readonly string[] = [],
): { readonly current: Resource<T> } {
  let current = $state.raw<Resource<T>>(untrack(() => new Resource<T>(...describe())));
  $effect(() => {
    const [key, load] = describe();
    const next = new Resource<T>(key, load);
    current = next;
    void next.reload();
    return () => next.stop();
  });
  const stop = live.listen((event) => {
    if (event.kind === "reset" || on.some((prefix) => event.kind.startsWith(prefix))) current.reloadSoon();
  });
  onDestroy(stop);
  return {
    get current() {
      return current;
    },
  };
}

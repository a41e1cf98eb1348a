// Looks through a long list of the API page by page, and keeps what is wanted. It stops after a budget, and goes on when told to.
import { call, type Query } from "../api/call";
import { Failure } from "../api/failure";
import type { List } from "../api/types";

export class Scan<T> {
  /** What was kept. */
  items = $state.raw<readonly T[]>([]);
  /** How many were looked at. */
  looked = $state(0);
  /** Where it goes on; null at the end. */
  next = $state<string | null>(null);
  working = $state(false);
  failure = $state.raw<Failure | undefined>(undefined);
  #abort: AbortController | undefined;
  #where: [path: string, query: Query] = ["", {}];
  #keep: (item: T) => boolean = () => true;

  /** Begins again behind what is there already; `next` says where that is. */
  begin(where: [path: string, query: Query], first: readonly T[], next: string | null, keep: (item: T) => boolean): void {
    this.stop();
    this.#where = where;
    this.#keep = keep;
    this.items = first.filter(keep);
    this.looked = first.length;
    this.next = next;
    this.failure = undefined;
  }

  /** Looks at this many more. */
  async go(budget: number): Promise<void> {
    if (this.working) return;
    const abort = new AbortController();
    this.#abort = abort;
    this.working = true;
    const [path, query] = this.#where;
    const until = this.looked + budget;
    try {
      while (this.next && this.looked < until && !abort.signal.aborted) {
        const page: List<T> = await call("GET", path, { query: { ...query, after: this.next, limit: 500 }, signal: abort.signal });
        if (abort.signal.aborted) return;
        const kept = page.items.filter(this.#keep);
        if (kept.length) this.items = [...this.items, ...kept];
        this.looked += page.items.length;
        this.next = page.next;
      }
    } catch (error) {
      if (!abort.signal.aborted) this.failure = Failure.from(error);
    } finally {
      if (this.#abort === abort) this.working = false;
    }
  }

  stop(): void {
    this.#abort?.abort();
    this.#abort = undefined;
    this.working = false;
  }
}

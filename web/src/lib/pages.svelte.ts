// A list of the API of which more and more pages are shown.
import { address, call, type Query } from "../api/call";
import type { List } from "../api/types";
import { resource, type Resource } from "./resource.svelte";

export interface Pages<T> {
  readonly first: Resource<List<T>>;
  readonly items: readonly T[] | undefined;
  /** The page that was loaded last. */
  readonly last: List<T> | undefined;
  readonly next: string | null;
  readonly loadingMore: boolean;
  more(): Promise<void>;
}

/** A list at `path` with what `query` says; it begins again when that changes, or when events begin with one of `on`. */
export function pages<T>(
  key: (item: T) => string | number,
  describe: () => [path: string, query: Query],
  on: readonly string[] = [],
): Pages<T> {
  let later = $state.raw<List<T>[]>([]);
  let loadingMore = $state(false);
  const first = resource<List<T>>(() => {
    const [path, query] = describe();
    later = [];
    return [address(path, query), (signal) => call<List<T>>("GET", path, { query, signal })];
  }, on);
  return {
    get first() {
      return first.current;
    },
    get items() {
      const data = first.current.data;
      if (!data || !later.length) return data?.items;
      // Rows move to later pages when newer ones come before them; each is shown once.
      const all = [...data.items, ...later.flatMap((page) => page.items)];
      return [...new Map(all.map((item) => [key(item), item])).values()];
    },
    get last() {
      return later.at(-1) ?? first.current.data;
    },
    get next() {
      return this.last?.next ?? null;
    },
    get loadingMore() {
      return loadingMore;
    },
    async more() {
      const [path, query] = describe();
      const after = later.at(-1)?.next ?? first.current.data?.next;
      if (!after || loadingMore) return;
      const begun = first.current;
      loadingMore = true;
      try {
        const page = await call<List<T>>("GET", path, { query: { ...query, after } });
        if (begun === first.current) later = [...later, page];
      } finally {
        loadingMore = false;
      }
    },
  };
}

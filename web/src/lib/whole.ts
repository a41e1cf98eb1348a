// All of a list of the API, page by page, where what is shown is chosen from the whole.
import { call, type Query } from "../api/call";
import type { List } from "../api/types";

const pageRows = 500;
/** More than this no one looks through, and no server should be asked for each time. */
const pagesMax = 10;

export async function whole<T>(path: string, query: Query, signal: AbortSignal): Promise<List<T>> {
  const items: T[] = [];
  let after: string | null = null;
  for (let page = 0; page < pagesMax; page += 1) {
    const list: List<T> = await call<List<T>>("GET", path, { query: { ...query, limit: pageRows, after }, signal });
    items.push(...list.items);
    after = list.next;
    if (!after) break;
  }
  return { items, next: after };
}

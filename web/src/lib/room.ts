// Of how much room what is stored takes a part: a quota, or the file system that it is in.
import type { RepositoryStorage } from "../api/types-figures";

export interface Room {
  readonly total: number;
  readonly share: number;
  readonly tone: "accent" | "findings" | "failed";
}

export function room(of: Pick<RepositoryStorage, "used" | "quota_bytes" | "quota_warns" | "disk">): Room | null {
  if (!of.used) return null;
  const used = of.used.bytes;
  const disk = of.disk ? used + of.disk.free_bytes : null;
  const limits = [of.quota_bytes, disk].filter((one): one is number => one != null && one > 0);
  if (!limits.length) return null;
  const total = Math.min(...limits);
  const share = used / total;
  const warns = total === of.quota_bytes ? (of.quota_warns ?? 0.8) : 0.9;
  return { total, share, tone: share >= 1 ? "failed" : share >= warns ? "findings" : "accent" };
}

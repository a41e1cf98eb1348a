// What a chart shows: values at some instants, drawn as lines, as an area or as columns that stand on one another.
import type { Tone } from "./states";
import type { Unit } from "./scale";

export interface Series {
  readonly name: string;
  readonly as: "line" | "area" | "column" | "dashed";
  readonly tone: Tone | "accent";
  /** Drawn paler, beside another one of the same tone. */
  readonly faint?: boolean;
  /** One for each instant; null where nothing is known. */
  readonly values: readonly (number | null)[];
}

/** Between which values something lies. */
export interface Band {
  readonly name: string;
  readonly low: readonly (number | null)[];
  readonly high: readonly (number | null)[];
}

export interface Figures {
  /** Instants, or days such as 2026-11-29, the earliest first. */
  readonly at: readonly string[];
  readonly series: readonly Series[];
  readonly band?: Band | undefined;
  readonly unit: Unit;
  /** A value that must not be reached. */
  readonly limit?: { readonly name: string; readonly value: number } | null;
  /** The index of the first instant that is to come. */
  readonly future?: number | undefined;
}

/** The greatest value that is drawn: columns stand on one another. */
export function greatest(figures: Figures): number {
  const columns = figures.series.filter((one) => one.as === "column");
  const others = figures.series.filter((one) => one.as !== "column");
  const sums = figures.at.map((_, at) => columns.reduce((sum, one) => sum + (one.values[at] ?? 0), 0));
  const values = [...others.flatMap((one) => one.values), ...(figures.band?.high ?? [])].map((value) => value ?? 0);
  return [...sums, ...values].reduce((most, value) => Math.max(most, value), 0);
}

/** A line through points; where one is missing, it is broken. */
export function line(values: readonly (number | null)[], x: (at: number) => number, y: (value: number) => number): string {
  let path = "";
  let open = false;
  values.forEach((value, at) => {
    if (value != null) path += `${open ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    open = value != null;
  });
  return path;
}

/** The area between two lines, as far as both are known, in parts. */
export function between(
  low: readonly (number | null)[],
  high: readonly (number | null)[],
  x: (at: number) => number,
  y: (value: number) => number,
): string {
  const parts: number[][] = [[]];
  high.forEach((value, at) => {
    if (value == null || low[at] == null) parts.push([]);
    else parts.at(-1)?.push(at);
  });
  const point = (values: readonly (number | null)[], at: number) => `${x(at).toFixed(1)} ${y(values[at] ?? 0).toFixed(1)}`;
  return parts
    .filter((part) => part.length)
    .map((part) => `M${[...part.map((at) => point(high, at)), ...part.toReversed().map((at) => point(low, at))].join("L")}Z`)
    .join("");
}

// Axes of charts: round values and days to write beside a chart.

/** Steps of an axis of bytes: 1, 2, 4 … 512 of each unit. */
const bytes = Array.from({ length: 6 }, (_, unit) => Array.from({ length: 10 }, (_, power) => 2 ** power * 1024 ** unit)).flat();
/** Steps of an axis of lengths, in seconds. */
const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;
const seconds = [1, 2, 5, 10, 15, 30, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute, hour, 2 * hour, 3 * hour, 6 * hour, 12 * hour, day, 2 * day, 7 * day];

export type Unit = "bytes" | "seconds" | "count" | "factor" | "share";

/** Values of an axis from zero to at least `max`: about `wanted` of them, an equal step apart. The last one is the end of the axis. */
export function ticks(max: number, unit: Unit, wanted = 4): number[] {
  if (unit === "share") return [0, 0.25, 0.5, 0.75, 1];
  const most = max > 0 ? max : 1;
  const step = stepOf(most / wanted, unit);
  const count = Math.max(1, Math.ceil(most / step - 1e-9));
  return Array.from({ length: count + 1 }, (_, at) => step < 1 ? Number((at * step).toPrecision(12)) : at * step);
}

function stepOf(least: number, unit: Unit): number {
  const known = unit === "bytes" ? bytes : unit === "seconds" ? seconds : [];
  const fit = known.find((step) => step >= least);
  if (fit !== undefined) return fit;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = ([1, 2, 5, 10].find((one) => one * power >= least * (1 - 1e-9)) ?? 10) * power;
  return unit === "count" ? Math.max(1, step) : step;
}

/** Which of some points in time get a label, so that no more than `room` of them stand side by side: the newest does, if there is room for more than one. */
export function labelled(count: number, room: number): number[] {
  if (count === 0) return [];
  const every = Math.max(1, Math.ceil(count / Math.max(1, room)));
  const found: number[] = [];
  for (let at = count - 1; at >= 0; at -= every) found.push(at);
  return found.reverse();
}

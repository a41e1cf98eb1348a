// From the history and the pace of a repository to what is drawn of it: what was, what is expected, and between which values
// that lies.
import type { StorageForecast } from "../api/types-figures";
import { text } from "../text";
import type { Figures } from "./chart";

const dayMs = 86_400_000;
const daysMin = 30;
const daysMax = 180;
const points = 24;

/** How many days are looked ahead: to the day on which there is no room left and somewhat further, within bounds. */
function ahead(forecast: StorageForecast, now: number): number {
  const full = forecast.full_on ? (Date.parse(forecast.full_on) - now) / dayMs : 0;
  return Math.round(Math.min(daysMax, Math.max(daysMin, full * 1.15)));
}

export function forecastFigures(forecast: StorageForecast): Figures {
  const t = text.storage;
  const { days } = forecast;
  const past = days.map((day) => day.bytes);
  const last = days.at(-1);
  const pace = forecast.growth[0];
  const used = last?.bytes ?? 0;
  const begin = last ? Date.parse(last.at) : 0;
  const steps = last && pace ? Array.from({ length: points }, (_, at) => ((at + 1) * ahead(forecast, begin)) / points) : [];
  const at = [...days.map((day) => day.at), ...steps.map((step) => new Date(begin + step * dayMs).toISOString())];
  const unknown = (count: number): null[] => Array.from({ length: count }, () => null);
  /** It begins where the history ends. */
  const expected = (perDay: number) => [...unknown(Math.max(0, days.length - 1)), ...(last ? [used] : []), ...steps.map((step) => Math.max(0, used + perDay * step))];
  const limit = forecast.limit && { name: t.limits[forecast.limit.kind] ?? "", value: (forecast.used?.bytes ?? used) + forecast.limit.left_bytes };
  return {
    at,
    unit: "bytes",
    limit,
    future: steps.length ? days.length : undefined,
    series: [
      { name: t.storedName, as: "area", tone: "accent", values: [...past, ...unknown(steps.length)] },
      ...(pace ? [{ name: t.expected, as: "dashed", tone: "accent", values: expected(pace.bytes_per_day) } as const] : []),
    ],
    band: pace && steps.length ? { name: t.range, low: expected(pace.bytes_per_day_low), high: expected(pace.bytes_per_day_high) } : undefined,
  };
}

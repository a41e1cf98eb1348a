// Numbers, sizes, lengths and instants as people read them.
const language = "en";
const whole = new Intl.NumberFormat(language);
const percentage = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

export const nothing = "–";

export function number(value: number | null | undefined): string {
  return value == null ? nothing : whole.format(value);
}

export function percent(share: number | null | undefined): string {
  return share == null ? nothing : percentage.format(share);
}

/** A size: 1.2 GiB. Three digits are enough to compare. */
export function size(bytes: number | null | undefined): string {
  if (bytes == null) return nothing;
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1023.5 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** How many times: 3.2 ×. */
export function factor(value: number | null | undefined): string {
  if (value == null) return nothing;
  return `${value.toFixed(value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2).replace(/\.0+$/, "")} ×`;
}

/** An amount of money, from millionths: 12.40 EUR. The currency is what the price of a repository says, so it isn't always a code. */
export function money(micros: number | null | undefined, currency: string): string {
  if (micros == null) return nothing;
  const value = micros / 1e6;
  return `${value.toLocaleString(language, { minimumFractionDigits: 2, maximumFractionDigits: value > 0 && value < 0.1 ? 4 : 2 })} ${currency}`;
}

/** A length in its two largest units: 8 h 12 min. */
export function length(seconds: number | null | undefined): string {
  if (seconds == null) return nothing;
  const all = Math.round(Math.max(0, seconds));
  const [d, h, m, s] = [Math.floor(all / 86400), Math.floor(all / 3600) % 24, Math.floor(all / 60) % 60, all % 60];
  if (d >= 10) return `${d} d`;
  if (d > 1) return h ? `${d} d ${h} h` : `${d} d`;
  if (d > 0) return `${d * 24 + h} h`;
  if (h > 0) return m ? `${h} h ${m} min` : `${h} h`;
  if (m > 0) return s && m < 10 ? `${m} min ${s} s` : `${m} min`;
  return `${s} s`;
}

/** The largest unit of a length alone: 8 h. */
export function about(seconds: number): string {
  const all = Math.abs(seconds);
  if (all < 60) return `${Math.round(all)} s`;
  if (all < 3570) return `${Math.round(all / 60)} min`;
  if (all < 84600) return `${Math.round(all / 3600)} h`;
  return `${Math.round(all / 86400)} d`;
}

export function secondsBetween(from: string | number | Date, to: string | number | Date): number {
  return (new Date(to).getTime() - new Date(from).getTime()) / 1000;
}

/** An instant against another one: 3 h ago, in 20 min. */
export function relative(instant: string | null | undefined, now: number): string {
  if (!instant) return nothing;
  const seconds = secondsBetween(instant, now);
  if (Math.abs(seconds) < 10) return "now";
  return seconds > 0 ? `${about(seconds)} ago` : `in ${about(seconds)}`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: string | undefined, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${zone}${JSON.stringify(options)}`;
  let found = formats.get(key);
  if (!found) {
    try {
      found = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone });
    } catch {
      // A zone that this browser doesn't know yet.
      found = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: "UTC" });
    }
    formats.set(key, found);
  }
  return found;
}

/** 2026-11-29 01:30 in a zone. The zone is printed where an instant is decided upon; see `Time.svelte`. */
export function dateTime(instant: string | null | undefined, zone?: string, seconds = false): string {
  if (!instant) return nothing;
  const parts = new Map(
    format(zone, {
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      hourCycle: "h23",
    })
      .formatToParts(new Date(instant))
      .map((part) => [part.type, part.value]),
  );
  const time = `${parts.get("hour")}:${parts.get("minute")}${seconds ? `:${parts.get("second")}` : ""}`;
  return `${parts.get("year")}-${parts.get("month")}-${parts.get("day")} ${time}`;
}

/** 01:30 in a zone. */
export function clock(instant: string, zone?: string, seconds = false): string {
  return dateTime(instant, zone, seconds).slice(11);
}

/** The day of an instant in a zone: 2026-11-29. */
export function day(instant: string | number, zone?: string): string {
  return dateTime(new Date(instant).toISOString(), zone).slice(0, 10);
}

/** Sat 29 Nov, of a day such as 2026-11-29. */
export function dayName(date: string): string {
  return format("UTC", { weekday: "short", day: "numeric", month: "short" }).format(new Date(`${date}T12:00:00Z`));
}

/** The hash or id of something, shortened. */
export function short(id: string): string {
  return id.slice(0, 8);
}

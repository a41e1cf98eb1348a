// Days in a time zone as instants.

/** What a clock in a zone is ahead of UTC at an instant, in milliseconds. */
function ahead(ms: number, zone: string): number {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  }).formatToParts(new Date(ms));
  const part = (type: string) => Number(parts.find((found) => found.type === type)?.value);
  const wall = Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute"), part("second"));
  return wall - Math.floor(ms / 1000) * 1000;
}

function midnight(day: string, zone: string): number {
  const wall = Date.parse(`${day}T00:00:00Z`);
  // The second step is for days on which the clock is set.
  const first = wall - ahead(wall, zone);
  return wall - ahead(first, zone);
}

/** Where a day such as 2026-11-29 begins and ends in a zone. */
export function zonedDay(day: string, zone = "UTC"): [string, string] {
  const next = new Date(Date.parse(`${day}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10);
  return [midnight(day, zone), midnight(next, zone)].map((ms) => new Date(ms).toISOString()) as [string, string];
}

/** What a clock in a zone shows at an instant, as fields of a form take it: 2026-11-29T01:30. */
export function wall(ms: number, zone = "UTC"): string {
  return new Date(ms + ahead(ms, zone)).toISOString().slice(0, 16);
}

/** The instant at which a clock in a zone shows this; nothing if it isn't a time. */
export function fromWall(text: string, zone = "UTC"): string | null {
  const shown = Date.parse(`${text.slice(0, 16)}Z`);
  if (Number.isNaN(shown)) return null;
  // The second step is for hours in which the clock is set.
  const first = shown - ahead(shown, zone);
  return new Date(shown - ahead(first, zone)).toISOString();
}

// From the choices of a form to a cron expression. What an expression means is the server's to say.
export interface Choices {
  how: "hourly" | "daily" | "weekly" | "monthly" | "own";
  time: string;
  days: readonly number[];
  day: number;
  own: string;
}

export const start: Choices = { how: "daily", time: "01:30", days: [1], day: 1, own: "30 1 * * *" };

export function expression({ how, time, days, day, own }: Choices): string {
  const [hour = 1, minute = 30] = time.split(":").map(Number);
  switch (how) {
    case "hourly":
      return `${minute} * * * *`;
    case "daily":
      return `${minute} ${hour} * * *`;
    case "weekly":
      return `${minute} ${hour} * * ${[...days].sort().join(",") || "1"}`;
    case "monthly":
      return `${minute} ${hour} ${day} * *`;
    case "own":
      return own.trim();
  }
}

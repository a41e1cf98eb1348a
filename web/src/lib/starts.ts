// What a new definition begins with.
export type Start = "plan" | "template" | "project" | "target" | "repository";

const texts: Record<Start, readonly [name: string, text: string]> = {
  plan: [
    "plan-www",
    `[plan.www]
description = "Web server and its uploads"
repository  = "main"
source      = [{ files = ["/srv/www"] }]
exclude     = ["*.tmp"]
schedule    = { cron = "30 1 * * *", deadline = "6h" }
retention   = { daily = 14, weekly = 8, monthly = 12, at_least = 3 }
`,
  ],
  template: [
    "template-nightly",
    `# Plans take over what a template says: inherits = ["nightly"]
[template.nightly]
schedule  = { cron = "30 1 * * *", jitter = "30m", deadline = "6h" }
retention = { daily = 14, weekly = 8, monthly = 12, at_least = 3 }
`,
  ],
  project: [
    "project-shop",
    `[project.shop]
description = "All of the shop"
quota       = { size = "2TiB", warn = "80%" }
`,
  ],
  target: [
    "notifications",
    `[target.ops]
description = "The person on duty"
smtp        = { host = "mx.example.org", to = ["ops@example.org"] }

[[route]]
match = { severity = ["warning", "error"] }
to    = ["ops"]
`,
  ],
  repository: [
    "repository-main",
    `[repository.main]
url      = "/srv/backup"
password = { file = "/etc/keepfast/main.password" }
check    = { cron = "0 4 * * 6", read_data = "5%" }
prune    = { cron = "0 6 * * 0" }
`,
  ],
};

export function startOf(start: Start): { name: string; text: string } {
  const [name, text] = texts[start] ?? texts.plan;
  return { name, text };
}

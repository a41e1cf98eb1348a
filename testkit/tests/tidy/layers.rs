//! Who may know whom: crates by the ladder, and the engine's modules by its floors.

/// Which of our crates each crate's folder may depend on; `testkit` is for tests everywhere.
pub const LADDER: &[(&str, &[&str])] = &[
    ("repo-format", &[]),
    ("backend", &[]),
    ("engine", &["keepfast-format", "keepfast-backend"]),
    ("operations", &["keepfast-format", "keepfast-backend", "keepfast-engine"]),
    ("server/schedule", &[]),
    ("api", &[]),
    (
        "server/http",
        &[
            "keepfast-access",
            "keepfast-api",
            "keepfast-backend",
            "keepfast-config",
            "keepfast-engine",
            "keepfast-format",
            "keepfast-observe",
            "keepfast-oidc",
            "keepfast-operations",
            "keepfast-schedule",
            "keepfast-server",
            "keepfast-store",
            "keepfast-ui",
        ],
    ),
    ("server/store", &[]),
    (
        "server",
        &[
            "keepfast-format",
            "keepfast-backend",
            "keepfast-engine",
            "keepfast-operations",
            "keepfast-access",
            "keepfast-config",
            "keepfast-observe",
            "keepfast-schedule",
            "keepfast-store",
            "keepfast-notify",
            "keepfast-observe",
            "keepfast-oidc",
        ],
    ),
    (
        "cli",
        &[
            "keepfast-format",
            "keepfast-backend",
            "keepfast-engine",
            "keepfast-operations",
            "keepfast-access",
            "keepfast-config",
            "keepfast-http",
            "keepfast-observe",
            "keepfast-schedule",
            "keepfast-server",
        ],
    ),
    ("server/config", &[]),
    ("server/access", &[]),
    ("server/oidc", &[]),
    ("server/notify", &[]),
    ("server/observe", &[]),
    ("server/ui", &[]),
    ("testkit", &["keepfast-format", "keepfast-backend", "keepfast-engine"]),
    ("model", &[]),
    ("races", &["keepfast-format", "keepfast-backend", "keepfast-engine"]),
    ("fuzz", &["keepfast-format"]),
    ("benches", &["keepfast-format", "keepfast-backend", "keepfast-engine"]),
];

/// The engine's floors from the ground up; a module imports from its own floor and those
/// below. On the last one, that of the verbs, not even from its own.
pub const FLOORS: &[&[&str]] = &[
    &["error", "nouns"],
    &["fs", "chunk", "jobs", "run", "retention", "sync"],
    &["repo"],
    &["archive", "restore", "check", "diff", "dump", "edit", "list", "stats", "forget", "prune"],
];

//! An example or two for each command, at the end of its help.

/// Commands, with the words between them and their options, and examples of each: without `keepfast` in front.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("init", &["--repo /srv/backup init", "--repo s3://bucket/prefix init"]),
    (
        "backup",
        &[
            "backup /home /etc --exclude '*.tmp'",
            "backup --source postgres://backup@db.example.org/shop /srv/www",
            "backup --stream 'list.txt=dpkg -l' /srv/www",
        ],
    ),
    (
        "restore",
        &[
            "restore --snapshot latest --target /tmp/out",
            "restore --at 2026-01-15 --path /etc --target /tmp/out",
            "restore --snapshot latest --database postgres://admin@db.example.org/shop_copy --dry-run",
        ],
    ),
    ("sources", &["sources test shop-db"]),
    ("sources test", &["sources test shop-db", "sources test --source mariadb://backup@localhost"]),
    ("wal", &["wal status shop", "wal ship --spool /var/spool/keepfast/shop shop --every 1m"]),
    ("wal push", &["wal push --spool /var/spool/keepfast/shop pg_wal/000000010000000A000000FF"]),
    (
        "wal receive",
        &["wal receive --spool /var/spool/keepfast/shop --source postgres://backup@db.example.org"],
    ),
    ("wal ship", &["wal ship --spool /var/spool/keepfast/shop shop --every 1m"]),
    ("wal get", &["wal get shop 000000010000000A000000FF pg_wal/RECOVERYXLOG"]),
    ("wal status", &["wal status --spool /var/spool/keepfast/shop shop"]),
    ("wal expire", &["wal expire --dry-run shop"]),
    (
        "wal restore",
        &[
            "wal restore --into /srv/restored --until 2026-01-15T14:30:00Z shop",
            "wal restore --snapshot 5a3f09c1:/shop --into /srv/restored --copy-log shop",
        ],
    ),
    ("snapshots", &["snapshots", "snapshots --host web1 --tag plan:www"]),
    ("forget", &["forget --keep-daily 14 --keep-weekly 8 --dry-run", "forget 5a3f09c1"]),
    ("tag", &["tag latest --add before-upgrade"]),
    ("rewrite", &["rewrite latest --exclude '*.iso' --dry-run"]),
    ("undelete", &["undelete 5a3f09c1"]),
    ("prune", &["prune --dry-run", "prune"]),
    ("ls", &["ls latest /etc", "ls --long --recursive latest~1"]),
    ("dump", &["dump latest db.sql > db.sql"]),
    ("diff", &["diff latest~1 latest", "diff 5a3f09c1 latest /etc"]),
    ("doctor", &["doctor", "--repo s3://bucket/prefix doctor"]),
    ("check", &["check", "check --read-data-subset 5%"]),
    ("stats", &["stats", "stats --delete 5a3f09c1"]),
    ("cache", &["cache info"]),
    ("cache info", &["cache info"]),
    ("cache clear", &["cache clear"]),
    ("cache rebuild", &["cache rebuild"]),
    ("cache accept", &["cache accept"]),
    ("run", &["run www"]),
    (
        "serve",
        &[
            "--config /etc/keepfast/keepfast.toml serve",
            "serve --recover --repo s3://bucket/backup --password-file /root/backup-password",
        ],
    ),
    ("drill", &["drill run www-weekly", "drill list"]),
    ("drill run", &["drill run www-weekly"]),
    ("drill list", &["drill list"]),
    ("drill show", &["drill show www-weekly", "--json drill show 5a3f09c1"]),
    ("runs", &["runs list", "runs logs 5a3f09c1"]),
    ("runs list", &["runs list --plan www", "runs list --verdict failed -n 50"]),
    ("runs show", &["runs show 5a3f09c1"]),
    ("runs logs", &["runs logs --follow 5a3f09c1"]),
    ("runs cancel", &["runs cancel 5a3f09c1"]),
    ("runs retry", &["runs retry 5a3f09c1"]),
    ("runs start", &["runs start www"]),
    ("pause", &["pause www --until 3d --reason 'the disk is being replaced'"]),
    ("resume", &["resume www"]),
    ("estimate", &["estimate www"]),
    ("cleanup", &["cleanup --dry-run", "cleanup www"]),
    ("notify", &["notify test ops"]),
    ("notify test", &["notify test ops"]),
    ("notify log", &["notify log", "notify log --target ops --failed"]),
    ("notify retry", &["notify retry 42"]),
    ("user", &["user add ann --role operator --scope plan:www", "user list"]),
    (
        "user add",
        &[
            "user add ann --role admin --see-names --read-content",
            "user add bob --role viewer --scope project:shop",
        ],
    ),
    ("user list", &["user list"]),
    ("user disable", &["user disable bob"]),
    ("user enable", &["user enable bob"]),
    ("user remove", &["user remove bob"]),
    ("user password", &["user password ann", "user password ann --from-file /run/secrets/ann"]),
    (
        "user role",
        &[
            "user role ann --role restorer --scope host:web1",
            "user role ann --role restorer --scope host:web1 --remove",
        ],
    ),
    ("user reset-second-factor", &["user reset-second-factor ann"]),
    ("user sign-out", &["user sign-out ann"]),
    ("token", &["token make ann deploy --role operator --scope plan:www --expires 90d", "token list"]),
    ("token make", &["token make ann deploy --role operator --scope plan:www --expires 90d"]),
    ("token list", &["token list --user ann"]),
    ("token revoke", &["token revoke 3"]),
    ("audit", &["audit verify", "audit export --csv > audit.csv"]),
    ("audit verify", &["audit verify", "audit verify --repository main", "audit verify --anchor 120:5f0c…"]),
    ("audit export", &["audit export > audit.json", "audit export --csv > audit.csv"]),
    ("status", &["status", "status --json"]),
    ("schedule", &["schedule list"]),
    ("schedule list", &["schedule list -n 10 www"]),
    ("config", &["config check", "config show --origin plan.www"]),
    ("config check", &["config check", "config check --resolve"]),
    ("config reload", &["config reload"]),
    ("config show", &["config show plan.www.retention", "config show --origin"]),
    ("config schema", &["config schema > keepfast.schema.json"]),
    ("config wizard", &["config wizard", "config wizard /etc/keepfast/keepfast.toml"]),
    ("service", &["service install --start", "service uninstall"]),
    (
        "service install",
        &[
            "service install --print",
            "service install --user keepfast --start",
            "service install --plan www --start",
        ],
    ),
    ("service uninstall", &["service uninstall"]),
    ("uninstall", &["uninstall", "uninstall --yes --into main"]),
    ("accept-anomaly", &["accept-anomaly www"]),
    ("metrics", &["metrics"]),
    ("completions", &["completions bash > /etc/bash_completion.d/keepfast"]),
    ("manual", &["manual /usr/local/share/man/man1"]),
];

/// The command line with examples.
pub fn add(command: clap::Command) -> clap::Command {
    add_below(command, "")
}

fn add_below(command: clap::Command, above: &str) -> clap::Command {
    command.mut_subcommands(|below| {
        let path = format!("{above}{}", below.get_name());
        let found = EXAMPLES.iter().find(|(name, _)| *name == path);
        let below = match found {
            Some((_, examples)) => {
                let lines: Vec<String> = examples.iter().map(|line| format!("  keepfast {line}")).collect();
                below.after_help(format!("Examples:\n{}", lines.join("\n")))
            }
            None => below,
        };
        add_below(below, &format!("{path} "))
    })
}

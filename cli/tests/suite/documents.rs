//! The documents of `--json`: names and order of their fields, which scripts rely on.

use serde_json::Value;

use crate::program::Desk;

/// The fields of a document, in their order; of an array its first entry.
fn fields(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let inside = map.iter().map(|(name, value)| format!("{name}{}", fields(value)));
            format!("{{{}}}", inside.collect::<Vec<_>>().join(" "))
        }
        Value::Array(values) => format!("[{}]", values.first().map(fields).unwrap_or_default()),
        _ => String::new(),
    }
}

const SUMMARY: &str = "{files_new files_changed files_unchanged skipped dirs bytes_total bytes_read bytes_new \
                       bytes_stored}";

fn snapshot() -> String {
    format!("{{id time end host user paths[] tags[] parent tree writer program summary{SUMMARY}}}")
}

fn document(desk: &Desk, arguments: &[&str]) -> String {
    let run = desk.run([arguments, &["--json"]].concat()).succeeds();
    fields(&serde_json::from_str(&run.out).unwrap())
}

fn backup(desk: &Desk) -> String {
    document(desk, &["backup", desk.path("src").to_str().unwrap(), "--tag", "a"])
}

#[test]
fn a_new_repository_says_what_it_is() {
    let desk = Desk::bare();
    let latency = "{count median_ms max_ms}";
    let doctor = format!(
        "location sound flaws[] latency{{create{latency} read{latency} list{latency} remove{latency}}}"
    );
    assert_eq!(document(&desk, &["doctor"]), format!("{{{doctor} repository}}"));
    assert_eq!(document(&desk, &["init"]), "{repository location single_writer}");
    let found = "repository{id single_writer snapshots snapshots_damaged strange[]}";
    assert_eq!(document(&desk, &["doctor"]), format!("{{{doctor} {found}}}"));
}

#[test]
fn what_is_strange_has_a_name_and_a_reason() {
    let desk = Desk::new();
    std::fs::write(desk.repo().join("config/00000001"), "x").unwrap();
    let run = desk.run(["doctor", "--json"]);
    let found: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((run.code, fields(&found["repository"]["strange"])), (3, "[{object why}]".to_owned()));
}

#[test]
fn what_is_in_a_snapshot_and_in_a_cache_is_listed() {
    let desk = Desk::new();
    backup(&desk);
    let source = desk.path("src");
    let entries = |path: &std::path::Path| document(&desk, &["ls", "latest", path.to_str().unwrap()]);
    let common = "path type mode uid gid mtime";
    assert_eq!(entries(&source.join("a.txt")), format!("{{snapshot entries[{{{common} size}}]}}"));
    assert_eq!(entries(&source.join("link")), format!("{{snapshot entries[{{{common} target}}]}}"));
    assert_eq!(entries(source.parent().unwrap()), format!("{{snapshot entries[{{{common}}}]}}"));
    let other = desk.path("other");
    for command in ["init", "stats"] {
        desk.run(["-r", other.to_str().unwrap(), command]).succeeds();
    }
    let info = document(&desk, &["-r", other.to_str().unwrap(), "cache", "info"]);
    assert_eq!(info, "{cache folders[{path bytes}] others[{repository path bytes used}]}");
    for action in ["info", "clear", "rebuild"] {
        let told = document(&desk, &["cache", action]);
        assert!(told.starts_with("{cache folders[") && told.contains("] others["), "{action}: {told}");
    }
    assert_eq!(document(&desk, &["cache", "accept"]), "{repository location config snapshots}");
}

#[test]
fn a_backup_says_what_it_made() {
    let desk = Desk::new();
    let rest = |changes: &str| {
        format!(
            "dry_run summary{SUMMARY} unchanged changes{changes} changed_while_read ignored packs traffic seconds \
             parent"
        )
    };
    assert_eq!(backup(&desk), format!("{{snapshot{} {}}}", snapshot(), rest("")));
    let of_parent = "{files_before files_deleted files_rewritten files_moved}";
    assert_eq!(backup(&desk), format!("{{snapshot{} {}}}", snapshot(), rest(of_parent)));
    let dry = document(&desk, &["backup", "--dry-run", desk.path("src").to_str().unwrap()]);
    assert_eq!(dry, format!("{{snapshot {}}}", rest("")));
}

#[test]
fn a_restore_and_a_check_say_what_they_did() {
    let desk = Desk::new();
    backup(&desk);
    let target = desk.path("target");
    assert_eq!(
        document(&desk, &["restore", "--snapshot", "latest", "--target", target.to_str().unwrap()]),
        "{snapshot target dry_run files dirs others hard_links unchanged corrected deleted skipped \
         privileges_dropped devices_left_out verified bytes traffic seconds}"
    );
    assert_eq!(
        document(&desk, &["check", "--read-data"]),
        "{snapshots objects packs packs_read bytes_read trees files findings files_hit unreachable \
         files_unreachable traffic seconds}"
    );
}

#[test]
fn what_is_kept_and_what_goes_is_said_of_each_snapshot() {
    let desk = Desk::new();
    backup(&desk);
    backup(&desk);
    assert_eq!(
        document(&desk, &["forget", "--keep-last", "1", "--dry-run"]),
        "{dry_run groups[{writer host paths[] tags kept forgotten snapshots[{id time writer host paths[] tags[] \
         protected verdict reasons[{rule text}]}]}]}"
    );
    for change in ["--protect", "--unprotect"] {
        assert_eq!(document(&desk, &["forget", change, "latest~1"]), "{dry_run what ids[]}");
    }
    assert_eq!(document(&desk, &["forget", "latest~1"]), "{dry_run what ids[]}");
    assert_eq!(
        document(&desk, &["snapshots"]),
        format!("[{} protected}}]", snapshot().strip_suffix('}').unwrap())
    );
    assert_eq!(
        document(&desk, &["undelete", &forgotten(&desk)]),
        format!("[{{forgotten snapshot{}}}]", snapshot())
    );
}

fn forgotten(desk: &Desk) -> String {
    let listed = desk.run(["snapshots", "--forgotten", "--json"]).succeeds().out;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    listed[0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_prune_says_what_it_plans_and_what_it_removed() {
    let desk = Desk::new();
    backup(&desk);
    let plan = "plan{packs bytes unused_packs unused_bytes rewrite_packs rewrite_bytes rewrite_needed_bytes \
                running_sessions running_packs running_bytes doubles bytes_after waste_bytes requests}";
    let rest = "epochs[] packs_removed bytes_removed packs_spared packs_rewritten bytes_read bytes_written \
                sessions_fenced objects_removed traffic seconds";
    assert_eq!(document(&desk, &["prune"]), format!("{{dry_run {plan} {rest}}}"));
    assert_eq!(
        document(&desk, &["stats"]),
        "{snapshots bytes_total chunks bytes_unique bytes_metadata packs packs_unlisted objects bytes_stored}"
    );
    assert_eq!(
        document(&desk, &["stats", "--delete", "latest"]),
        "{snapshots chunks bytes bytes_stored bytes_in_whole_packs}"
    );
}

#[test]
fn an_edit_says_what_became_of_each_snapshot() {
    let desk = Desk::new();
    backup(&desk);
    assert_eq!(
        document(&desk, &["tag", "--add", "b", "latest"]),
        format!("[{{id changed forgotten snapshot{}}}]", snapshot())
    );
    assert_eq!(
        document(&desk, &["rewrite", "--exclude", "*.txt", "latest"]),
        format!(
            "{{dry_run forget snapshots[{{id changed removed{{files dirs others bytes}} named[] forgotten snapshot{}}}] \
             traffic}}",
            snapshot()
        )
    );
}

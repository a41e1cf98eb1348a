//! `keepfast ls`, `dump`, `stats` and `cache`: looking at what is there.

use std::os::unix::ffi::OsStrExt;

use anyhow::Result;
use keepfast_engine::repo::{
    Snapshots, accept as take, clear_cache, describe_cache, open_index, other_caches,
};
use keepfast_engine::{EngineError, dump as dumping, list, stats as sums};
use keepfast_format::node::{Node, NodeKind};
use keepfast_operations::choose::choose;
use keepfast_operations::open::Mode;
use serde_json::{Value, json};

use super::{host_filter_of, outcome};
use crate::Outcome;
use crate::args::{CacheAction, Common, Dump, Ls};
use crate::console::Console;
use crate::{lines, render, settings};

/// Lists what is in a snapshot.
pub fn ls(common: &Common, options: &Ls) -> Result<Outcome> {
    let console = Console::new(common)?;
    let shared = super::shared(common, &console)?;
    let opened = shared.open(console.run(), Mode::Usual)?;
    let filter = host_filter_of(&options.filter).resolve(&opened.snapshots)?;
    let chosen = choose(&opened.snapshots, &options.snapshot, &filter, &shared, console.run())?;
    let snapshot = &chosen.snapshot;
    let path = options.path.as_os_str().as_bytes();
    let mut entries = Vec::new();
    let listed = list::list(
        &opened.repository,
        &opened.index,
        snapshot,
        path,
        options.recursive,
        console.run(),
        &mut |path, node| {
            if common.json {
                entries.push(entry_json(path, node));
            } else if options.long {
                render::line(&long_line(path, node));
            } else {
                render::line(&String::from_utf8_lossy(path));
            }
            if lines::is_lost() { Err(EngineError::Interrupted) } else { Ok(()) }
        },
    );
    match listed {
        // There is no one to list the rest for.
        Err(EngineError::Interrupted) if lines::is_lost() => {}
        listed => listed?,
    }
    if common.json {
        render::document(&json!({ "snapshot": snapshot.head.id.short(), "entries": entries }));
    }
    Ok(outcome(&console))
}

fn entry_json(path: &[u8], node: &Node) -> Value {
    let (text, hex) = render::json_path(path);
    let mut entry = json!({
        "path": text,
        "type": type_name(&node.kind),
        "mode": format!("{:04o}", node.mode),
        "uid": node.uid,
        "gid": node.gid,
        "mtime": render::rfc3339(node.mtime),
    });
    if let Some(hex) = hex {
        entry["path_hex"] = json!(hex);
    }
    match &node.kind {
        NodeKind::File { size, .. } => entry["size"] = json!(size),
        NodeKind::Symlink { target } => entry["target"] = json!(String::from_utf8_lossy(target)),
        _ => {}
    }
    entry
}

const fn type_name(kind: &NodeKind) -> &'static str {
    match kind {
        NodeKind::File { .. } => "file",
        NodeKind::Directory { .. } => "dir",
        NodeKind::Symlink { .. } => "symlink",
        NodeKind::Fifo => "fifo",
        NodeKind::Socket => "socket",
        NodeKind::CharDevice { .. } => "chardev",
        NodeKind::BlockDevice { .. } => "blockdev",
    }
}

fn long_line(path: &[u8], node: &Node) -> String {
    let (letter, size) = match &node.kind {
        NodeKind::File { size, .. } => ('-', *size),
        NodeKind::Directory { .. } => ('d', 0),
        NodeKind::Symlink { .. } => ('l', 0),
        NodeKind::Fifo => ('p', 0),
        NodeKind::Socket => ('s', 0),
        NodeKind::CharDevice { .. } => ('c', 0),
        NodeKind::BlockDevice { .. } => ('b', 0),
    };
    let arrow = match &node.kind {
        NodeKind::Symlink { target } => format!(" -> {}", String::from_utf8_lossy(target)),
        _ => String::new(),
    };
    format!(
        "{letter}{:04o} {:>5} {:>5} {size:>12} {} {}{arrow}",
        node.mode,
        node.uid,
        node.gid,
        render::local_time(node.mtime),
        String::from_utf8_lossy(path),
    )
}

/// Writes a file of a snapshot to standard output.
pub fn dump(common: &Common, options: &Dump) -> Result<Outcome> {
    let console = Console::new(common)?;
    let shared = super::shared(common, &console)?;
    let opened = shared.open(console.run(), Mode::Usual)?;
    let filter = host_filter_of(&options.filter).resolve(&opened.snapshots)?;
    let chosen = choose(&opened.snapshots, &options.snapshot, &filter, &shared, console.run())?;
    let snapshot = &chosen.snapshot;
    let path = options.path.as_os_str().as_bytes();
    let mut out = std::io::stdout().lock();
    dumping::dump(&opened.repository, &opened.index, snapshot, path, &mut out, console.run())?;
    Ok(outcome(&console))
}

/// Shows how much is stored.
pub fn stats(common: &Common) -> Result<Outcome> {
    let console = Console::new(common)?;
    let shared = super::shared(common, &console)?;
    let opened = shared.open(console.run(), Mode::Usual)?;
    let sums = sums::stats(&opened.repository, &opened.index, &opened.snapshots)?;
    if common.json {
        render::document(&json!({
            "snapshots": sums.snapshots, "bytes_total": sums.bytes_total,
            "chunks": sums.chunks, "bytes_unique": sums.bytes_unique, "bytes_metadata": sums.bytes_metadata,
            "packs": sums.packs, "packs_unlisted": sums.packs_unlisted,
            "objects": sums.objects, "bytes_stored": sums.bytes_stored,
        }));
        return Ok(outcome(&console));
    }
    render::line(&format!(
        "snapshots  {}, {} to restore all of them",
        sums.snapshots,
        render::bytes(sums.bytes_total)
    ));
    render::line(&format!(
        "unique     {} in {} chunks",
        render::bytes(sums.bytes_unique),
        render::count(sums.chunks)
    ));
    render::line(&format!(
        "stored     {} in {} objects, {} of them packs",
        render::bytes(sums.bytes_stored),
        render::count(sums.objects),
        render::count(sums.packs)
    ));
    let ratios: Vec<String> = [
        render::factor(sums.bytes_total, sums.bytes_unique).map(|times| format!("dedup {times}")),
        render::factor(sums.bytes_unique, sums.bytes_stored).map(|times| format!("compression {times}")),
        render::factor(sums.bytes_total, sums.bytes_stored).map(|times| format!("together {times}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !ratios.is_empty() {
        render::line(&format!("ratio      {}", ratios.join(", ")));
    }
    if sums.packs_unlisted > 0 {
        render::line(&format!("unlisted   {} packs that an interrupted run left", sums.packs_unlisted));
    }
    Ok(outcome(&console))
}

/// Shows, removes or rebuilds what this machine keeps of a repository.
pub fn cache(common: &Common, action: &CacheAction) -> Result<Outcome> {
    let console = Console::new(common)?;
    if matches!(action, CacheAction::Accept) {
        return accept(common, &console);
    }
    let repository = super::shared(common, &console)?.repository(console.run(), Mode::Usual)?;
    let cache = settings::cache_dir(common);
    match action {
        CacheAction::Info | CacheAction::Accept => {}
        CacheAction::Clear => drop(clear_cache(&cache, repository.id())?),
        CacheAction::Rebuild => {
            clear_cache(&cache, repository.id())?;
            let snapshots = Snapshots::load(&repository, console.run())?;
            open_index(&repository, &cache, &snapshots, console.run())?;
        }
    }
    let folders = describe_cache(&cache, repository.id());
    let others = other_caches(&cache, repository.id());
    if common.json {
        let folders: Vec<Value> = folders
            .iter()
            .map(|(path, bytes)| json!({ "path": path.display().to_string(), "bytes": bytes }))
            .collect();
        let others: Vec<Value> = others
            .iter()
            .map(|other| {
                json!({
                    "repository": other.repository.to_string(), "path": other.folder.display().to_string(),
                    "bytes": other.bytes, "used": render::rfc3339(other.used),
                })
            })
            .collect();
        render::document(
            &json!({ "cache": cache.display().to_string(), "folders": folders, "others": others }),
        );
        return Ok(outcome(&console));
    }
    if folders.is_empty() {
        render::line(&format!("nothing below {}", cache.display()));
    }
    for (path, bytes) in folders {
        render::line(&format!("{}  {}", path.display(), render::bytes(bytes)));
    }
    for other in others {
        render::line(&format!(
            "{}  {}, of repository {}, last used {}: remove it if that repository is gone",
            other.folder.display(),
            render::bytes(other.bytes),
            other.repository,
            render::local_time(other.used),
        ));
    }
    Ok(outcome(&console))
}

/// Takes what the store shows now for right, whatever was seen before in its place.
fn accept(common: &Common, console: &Console) -> Result<Outcome> {
    let repository = settings::shared(common, console)?.repository(console.run(), Mode::Unseen)?;
    let snapshots = Snapshots::load(&repository, console.run())?;
    let location = repository.backend().location();
    take(&repository, &snapshots, &settings::memory(common, &location))?;
    if common.json {
        render::document(&json!({
            "repository": repository.id().to_string(), "location": location,
            "config": repository.config().n, "snapshots": snapshots.all.len(),
        }));
    } else if !common.quiet {
        render::line(&format!(
            "from now on repository {} is expected in {location}, with the {} snapshots that it has",
            repository.id(),
            render::count(snapshots.all.len() as u64)
        ));
    }
    Ok(outcome(console))
}

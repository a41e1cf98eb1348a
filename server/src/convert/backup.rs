//! What a plan backs up.

use std::ffi::OsString;

use keepfast_config::config::Definition;
use keepfast_config::model::plan::Plan;
use keepfast_config::model::source::{ChangedBy, Source};
use keepfast_config::values::amount::Chunking as Defined;
use keepfast_format::chunker::PageBytes;
use keepfast_operations::chunking::{Chunking, ChunkingBelow};
use keepfast_operations::requests::Backup;
use keepfast_operations::sources::PathSources;
use keepfast_operations::streams::{Empty, StreamSource};

use super::{database, limits, secret, unsupported};
use crate::error::Result;

/// What the labels of plans begin with.
pub const LABEL_PREFIX: &str = "plan:";

/// The label by which the snapshots of a plan are found again: retention judges them by it, and not by paths, which a
/// plan may change.
#[must_use]
pub fn label(plan: &str) -> String {
    format!("{LABEL_PREFIX}{plan}")
}

/// A plan as a request to back up.
pub fn request(definition: &Definition<Plan>) -> Result<Backup> {
    let name = format!("plan {}", definition.name);
    let plan = &definition.value;
    if plan.hosts.is_some() {
        return Err(unsupported(&name, "running on other hosts (`hosts`)"));
    }
    if !plan.copy_to.is_empty() {
        return Err(unsupported(&name, "copying to another repository (`copy_to`)"));
    }
    if let Some(tag) = plan.tags.iter().find(|tag| tag.0.starts_with(LABEL_PREFIX)) {
        return Err(unsupported(&name, format!("the tag {:?}: it would count as another plan's", tag.0)));
    }
    let parts = &plan.source.0;
    let mut request = Backup {
        tags: std::iter::once(label(&definition.name))
            .chain(plan.tags.iter().map(|tag| tag.0.clone()))
            .collect(),
        exclude: plan.exclude.iter().map(|pattern| OsString::from(&pattern.0)).collect(),
        exclude_caches: plan.exclude_caches,
        exclude_if_present: plan.exclude_if_present.iter().map(OsString::from).collect(),
        exclude_nodump: plan.exclude_nodump,
        exclude_larger_than: plan.exclude_larger_than.map(|size| size.bytes),
        ignore_files: plan.ignore_files,
        one_file_system: plan.one_file_system,
        ignore_ctime: matches!(plan.changed_by, ChangedBy::Mtime | ChangedBy::Inode),
        ignore_inode: plan.changed_by == ChangedBy::Inode,
        force: plan.changed_by == ChangedBy::Content,
        skip_if_unchanged: plan.skip_if_unchanged,
        estimate: true,
        resources: limits::resources(plan.limits.as_ref()),
        sources: paths(parts, &name)?,
        databases: database::sources(parts, &name)?,
        chunking: chunking(parts),
        streams: parts.iter().filter_map(|part| part.stream.as_ref()).map(stream).collect(),
        ..Backup::default()
    };
    if let Some(level) = plan.compression_level {
        request.compression_level = level.0;
    }
    let streams: Vec<_> = parts.iter().filter_map(|part| part.stream.as_ref()).collect();
    request.empty = match streams.iter().filter(|stream| stream.may_be_empty).count() {
        0 => Empty::Refused,
        count if count == streams.len() => Empty::Allowed,
        _ => return Err(unsupported(&name, "`may_be_empty` for some of several streams")),
    };
    // What a part leaves out would be left out of all others too.
    let excluding: Vec<&Source> = parts.iter().filter(|part| !part.exclude.is_empty()).collect();
    if !excluding.is_empty() && parts.iter().filter(|part| part.files.is_some()).count() > 1 {
        return Err(unsupported(
            &name,
            "`exclude` in one of several sources of files; the plan's own `exclude` holds for all",
        ));
    }
    request
        .exclude
        .extend(excluding.iter().flat_map(|part| &part.exclude).map(|pattern| OsString::from(&pattern.0)));
    Ok(request)
}

fn stream(defined: &keepfast_config::model::source::Stream) -> StreamSource {
    StreamSource { name: defined.name.clone(), command: secret::command(&defined.command) }
}

/// How the files of each part are cut. What isn't said is `auto`, also below a path of another part that says
/// something else.
fn chunking(parts: &[Source]) -> Vec<ChunkingBelow> {
    let of = |defined: Option<Defined>| match defined {
        None | Some(Defined::Auto) => Chunking::Auto,
        Some(Defined::Content) => Chunking::Content,
        Some(Defined::Pages { bytes }) => PageBytes::new(bytes).map_or(Chunking::Auto, Chunking::Pages),
    };
    if parts.iter().all(|part| part.chunking.is_none()) {
        return Vec::new();
    }
    let below = |part: &Source| {
        let paths = match &part.stored_as {
            Some(stored) => vec![stored.0.clone()],
            None => part.paths().map(|path| path.value.0.clone()).collect(),
        };
        let chunking = of(part.chunking);
        paths.into_iter().map(move |path| ChunkingBelow { path, chunking })
    };
    parts.iter().flat_map(below).collect()
}

fn paths(parts: &[Source], name: &str) -> Result<PathSources> {
    let files: Vec<&Source> = parts.iter().filter(|part| part.files.is_some()).collect();
    let Some(first) = files.first() else { return Ok(PathSources::default()) };
    let ways = |part: &Source| (part.follow, part.read_special, part.stored_as.clone());
    if files.iter().any(|part| ways(part) != ways(first)) {
        return Err(unsupported(
            name,
            "`follow`, `read_special` or `stored_as` that differ between sources of files",
        ));
    }
    Ok(PathSources {
        paths: files.iter().flat_map(|part| part.paths()).map(|path| path.value.0.clone()).collect(),
        stored_as: first.stored_as.as_ref().map(|path| path.0.clone()),
        follow: first.follow,
        read_special: first.read_special,
        ..PathSources::default()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Chunking, PageBytes, request};
    use crate::testing::repository::config;

    fn chunking_of(source: &str) -> Vec<(String, Chunking)> {
        let config = config(&format!(
            "[repository.main]\nurl = \"/srv/r\"\npassword = {{ env = \"P\" }}\n[plan.www]\nrepository = \"main\"\n\
             source = [{source}]\n"
        ));
        let request = request(&config.plans["www"]).expect("it can be carried out");
        let path = |path: &Path| path.display().to_string();
        request.chunking.iter().map(|below| (path(&below.path), below.chunking)).collect()
    }

    #[test]
    fn each_source_of_files_has_its_own_chunking() {
        assert_eq!(chunking_of(r#"{ files = ["/srv/www"] }"#), []);
        let pages = Chunking::Pages(PageBytes::new(8192).expect("a page's size"));
        let of = |path: &str, chunking| (path.to_owned(), chunking);
        let several = r#"{ files = ["/srv/db", "/srv/log"], chunking = "pages:8KiB" }, { files = ["/srv/db/x"] },
            { files = ["/home"], chunking = "content" }"#;
        assert_eq!(
            chunking_of(&several.replace('\n', " ")),
            [
                of("/srv/db", pages),
                of("/srv/log", pages),
                of("/srv/db/x", Chunking::Auto),
                of("/home", Chunking::Content),
            ]
        );
        let mounted = r#"{ files = ["/mnt/snapshot"], stored_as = "/srv/db", chunking = "pages:8KiB" }"#;
        assert_eq!(chunking_of(mounted), [of("/srv/db", pages)]);
    }
}

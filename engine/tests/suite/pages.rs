//! Files that are made of pages: a page that was rewritten is what is stored again, and whatever a file claims to be,
//! it comes back as it was.

use std::fs::OpenOptions;
use std::io::Cursor;
use std::os::unix::fs::FileExt;
use std::path::Path;

use keepfast_engine::archive::{ArchiveReport, CuttingRules, ParentChoice, Source, Stream};
use keepfast_engine::chunk::cutting::CuttingChoice;
use keepfast_engine::repo::InitOptions;
use keepfast_format::chunker::{ChunkerParams, PageBytes};
use keepfast_testkit::lab::init_options;
use keepfast_testkit::{Ear, Lab, assert_same, tree};

const PAGE: usize = 4096;
/// Larger than what is read whole.
const LARGE: usize = 5 << 20;
/// Read whole.
const SMALL: usize = 1 << 20;

fn pages_of(bytes: u32) -> CuttingChoice {
    CuttingChoice::Pages(PageBytes::new(bytes).expect("a page has this size"))
}

/// A file of SQLite as far as its header shows, and noise.
fn database(length: usize, page_bytes: u16) -> Vec<u8> {
    let mut bytes = tree::noise(length as u64, length);
    bytes[..16].copy_from_slice(b"SQLite format 3\0");
    bytes[16..18].copy_from_slice(&page_bytes.to_be_bytes());
    bytes[18..24].copy_from_slice(&[1, 1, 0, 64, 32, 32]);
    bytes
}

/// Writes noise over these pages, other noise for each file and page.
fn rewrite(path: &Path, pages: impl IntoIterator<Item = usize>) {
    let file = OpenOptions::new().write(true).open(path).expect("it can be opened");
    let seed = file.metadata().expect("it is there").len();
    for page in pages {
        let bytes = tree::noise(seed + page as u64, PAGE);
        file.write_all_at(&bytes, (page * PAGE) as u64).expect("it can be written");
    }
}

fn backup(lab: &Lab, choice: CuttingChoice) -> ArchiveReport {
    lab.backup_with(|options| options.cutting = CuttingRules::all(choice))
}

/// Backs up what has changed or not; returns how many bytes were new.
fn again(lab: &Lab, choice: CuttingChoice) -> u64 {
    let report = lab.backup_with(|options| {
        options.cutting = CuttingRules::all(choice);
        options.parent = ParentChoice::None;
    });
    report.statistics.bytes_new
}

#[test]
fn scattered_pages_that_change_are_all_that_is_new() {
    let (large, small) = ((1..1280).step_by(64), (1..256).step_by(64));
    let changed = (large.clone().count() + small.clone().count()) * PAGE;
    let new = |choice| {
        let lab = Lab::with(|root| {
            tree::write(root.join("large.db"), database(LARGE, 4096));
            tree::write(root.join("small.db"), database(SMALL, 4096));
        });
        backup(&lab, choice);
        rewrite(&lab.source().join("large.db"), large.clone());
        rewrite(&lab.source().join("small.db"), small.clone());
        let new = backup(&lab, choice).statistics.bytes_new;
        assert_same(&lab.source(), &lab.restore("latest"));
        lab.assert_sound();
        new
    };
    let by_page = new(CuttingChoice::Auto);
    assert_eq!(by_page, changed as u64);
    assert_eq!(new(pages_of(4096)), by_page);
    let by_content = new(CuttingChoice::ByContent);
    assert!(by_content > 3 * by_page, "{by_content} bytes are new by content, and {by_page} by page");
}

#[test]
fn pages_that_have_moved_are_not_stored_again() {
    let bytes = database(LARGE, 4096);
    let lab = Lab::with(|root| drop(tree::write(root.join("a.db"), &bytes)));
    backup(&lab, CuttingChoice::Auto);
    let (first, others) = bytes.split_at(PAGE);
    let moved: Vec<&[u8]> = std::iter::once(first).chain(others.chunks(PAGE).rev()).collect();
    tree::write(lab.source().join("a.db"), moved.concat());
    assert_eq!(backup(&lab, CuttingChoice::Auto).statistics.bytes_new, 0);
    assert_same(&lab.source(), &lab.restore("latest"));
}

#[test]
fn files_of_all_sizes_around_pages_come_back() {
    for page in [512, 8192, 65_536] {
        let lab = Lab::with(|root| {
            for around in [64 << 10, 128 << 10, 1 << 20, 2 << 20, 3 << 20] {
                for length in [around - 1, around, around + 1, around + 4096] {
                    tree::write(root.join(length.to_string()), tree::noise(7, length));
                }
            }
        });
        backup(&lab, pages_of(page));
        assert_same(&lab.source(), &lab.restore("latest"));
        lab.assert_sound();
        assert_eq!(again(&lab, pages_of(page)), 0);
    }
}

#[test]
fn what_is_written_into_a_hole_moves_no_page() {
    const BLOCK: u64 = 4096;
    let lab = Lab::with(|root| {
        // A hole of half a page, one of pages, and one at the end.
        let extents = [(0, 1 << 20), ((1 << 20) + BLOCK, 2 << 20), (8 << 20, (1 << 20) + 100)];
        tree::write_sparse(root.join("large"), 16 << 20, &extents);
        tree::write_sparse(root.join("small"), 1 << 20, &[(BLOCK, 100 << 10), (512 << 10, 300 << 10)]);
    });
    backup(&lab, pages_of(8192));
    assert_same(&lab.source(), &lab.restore("latest"));
    let mut new = 0;
    for (name, page) in [("large", (1 << 20) / PAGE), ("small", 0)] {
        rewrite(&lab.source().join(name), [page]);
        new += 8192;
    }
    let stored = backup(&lab, pages_of(8192)).statistics.bytes_new;
    assert!(stored > 0 && stored <= new, "{stored} bytes are new");
    assert_same(&lab.source(), &lab.restore("latest"));
    lab.assert_sound();
}

#[test]
fn a_file_and_a_stream_of_the_same_pages_are_stored_once() {
    let bytes = database(LARGE, 4096);
    let lab = Lab::with(|root| drop(tree::write(root.join("a.db"), &bytes)));
    backup(&lab, CuttingChoice::Auto);
    let new = |cutting| {
        let (reader, ended) = (Box::new(Cursor::new(bytes.clone())), Box::new(|| Ok(())));
        let source = Source::stream(Stream { name: b"copy".to_vec(), reader, cutting, ended });
        let report = lab.archive(source, &Ear::default(), |options| {
            // What is chosen for files doesn't hold for streams.
            options.cutting = CuttingRules::all(CuttingChoice::ByContent);
        });
        report.expect("it is stored").statistics.bytes_new
    };
    assert_eq!([new(CuttingChoice::Auto), new(pages_of(4096))], [0, 0]);
    let by_content = new(CuttingChoice::ByContent);
    assert!(by_content > bytes.len() as u64 / 2, "{by_content} bytes are new");
    lab.assert_sound();
}

#[test]
fn a_header_that_lies_changes_nothing_but_cuts() {
    let lab = Lab::with(|root| {
        for (number, garbage) in [0, 3, 256, 4097, 0x8001, u16::MAX].into_iter().enumerate() {
            tree::write(root.join(format!("{number}.db")), database(SMALL, garbage));
            tree::write(root.join(format!("{number} large.db")), database(LARGE, garbage));
        }
        // Right for a database, but there is only noise behind the header; and as short as can be.
        tree::write(root.join("right.db"), database(SMALL + 77, 1));
        tree::write(root.join("short.db"), &database(SMALL, 4096)[..100]);
    });
    backup(&lab, CuttingChoice::Auto);
    assert_same(&lab.source(), &lab.restore("latest"));
    lab.assert_sound();
    std::fs::remove_file(lab.source().join("right.db")).expect("it can be removed");
    assert_eq!(again(&lab, CuttingChoice::ByContent), 0, "all others were cut by content");
}

#[test]
fn another_way_of_cutting_stores_a_file_once_more_when_it_is_read() {
    let bytes = database(LARGE, 4096);
    let lab = Lab::with(|root| {
        tree::write(root.join("a/1.db"), &bytes);
        tree::write(root.join("b/1.db"), &bytes);
    });
    let half = |lab: &Lab| {
        let rules = vec![(lab.source().join("a"), CuttingChoice::ByContent)];
        let report = lab.backup_with(|options| options.cutting = CuttingRules::new(rules));
        report.statistics.bytes_new
    };
    let new = half(&lab);
    assert!(
        new > LARGE as u64 * 3 / 2,
        "{new} bytes are new: one of the files is cut by content, the other at pages"
    );
    // Neither is read as long as it is unchanged.
    assert_eq!(backup(&lab, CuttingChoice::Auto).statistics.bytes_read, 0);
    assert_eq!(again(&lab, CuttingChoice::Auto), 0);
    assert_same(&lab.source(), &lab.restore("latest"));
}

/// Where the owner of a repository has chosen larger chunks, so that it has fewer, pages are no exception.
#[test]
fn no_page_is_a_smaller_chunk_than_the_repository_has() {
    for (average, chunk) in [(64 << 10, 16 << 10), (1 << 10, PAGE)] {
        let options = InitOptions { chunker: ChunkerParams::of_average(average), ..init_options() };
        let lab = Lab::made_with(&options);
        tree::write(lab.source().join("a.db"), database(LARGE, 4096));
        backup(&lab, CuttingChoice::Auto);
        rewrite(&lab.source().join("a.db"), [100, 900]);
        let new = backup(&lab, CuttingChoice::Auto).statistics.bytes_new;
        assert_eq!(new, 2 * chunk as u64, "with an average of {average}");
        assert_same(&lab.source(), &lab.restore("latest"));
        lab.assert_sound();
    }
}

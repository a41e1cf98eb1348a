//! Dumps and restores that can't succeed: each says why, and no half of one counts.

use std::io;

use keepfast_sources::SourceError;
use keepfast_sources::dump::DumpOptions;
use keepfast_sources::engines::{dump, restore};
use keepfast_sources::files::FolderFiles;
use keepfast_sources::restore::RestoreOptions;
use keepfast_sources::sink::FolderSink;
use keepfast_testkit::servers::RedisServer;

use crate::kv::{Acting, Around, copied, flipped};
use crate::round_trips::{SETTINGS, address};

const HALF: u64 = 8 << 20;

fn large() -> RedisServer {
    let server = RedisServer::start(&format!("{SETTINGS}rdbcompression no\n"));
    let _ = server.ask("DEBUG POPULATE 40000 filler 1000");
    server
}

#[test]
fn a_server_that_dies_a_full_disk_and_a_cancelled_run_are_errors_that_say_so() {
    let server = large();
    let around = Around::new();
    let attempt = |sink: &Acting<'_>| {
        let error = dump(&address(&server), &DumpOptions::default(), sink, &around.context());
        error.expect_err("no dump")
    };
    let full = attempt(&Acting::full(HALF));
    assert!(matches!(&full, SourceError::Transfer { .. }), "{full:?}");
    assert!(full.to_string().starts_with("dump.rdb: "), "{full}");

    let killed = attempt(&Acting::new(HALF, || {
        server.kill();
        Ok(())
    }));
    assert!(killed.to_string().contains("sending its data: the server has ended the connection"), "{killed}");
    let gone = attempt(&Acting::full(HALF));
    assert!(matches!(gone, SourceError::Connect { .. }), "{gone:?}");
}

#[test]
fn a_cancelled_dump_ends_at_once_and_the_server_lets_go_of_the_replica() {
    let server = large();
    let around = Around::new();
    let cancelling = Acting::new(HALF, || {
        around.cancel.cancel();
        Ok(())
    });
    let error = dump(&address(&server), &DumpOptions::default(), &cancelling, &around.context());
    assert!(matches!(error, Err(SourceError::Cancelled)), "{error:?}");
    let begun = std::time::Instant::now();
    while !server.ask("INFO replication").contains("connected_slaves:0") {
        assert!(begun.elapsed().as_secs() < 20, "{}", server.ask("INFO replication"));
    }
}

#[test]
fn a_dump_that_was_cut_or_changed_is_refused_before_anything_is_written() {
    let (from, to) = (RedisServer::start(SETTINGS), RedisServer::start(SETTINGS));
    let _ = from.ask("DEBUG POPULATE 2000");
    let around = Around::new();
    let place = around.place("dump");
    dump(&address(&from), &DumpOptions::default(), &FolderSink::new(&place), &around.context())
        .expect("a dump");
    let bytes = std::fs::metadata(place.join("dump.rdb")).expect("a file").len();
    for (n, at) in [0, 9, 100, bytes / 2, bytes - 9, bytes - 1].into_iter().enumerate() {
        let damaged = around.folder.path().join(format!("flipped{n}"));
        flipped(&place, &damaged, "dump.rdb", |_| usize::try_from(at).expect("it fits"));
        let error = restore(
            &FolderFiles::new(&damaged),
            &address(&to),
            &RestoreOptions::default(),
            &around.context(),
        );
        assert!(matches!(error, Err(SourceError::Dump { .. })), "{at}: {error:?}");
        let cut = around.folder.path().join(format!("cut{n}"));
        copied(&place, &cut);
        let file = std::fs::File::options().write(true).open(cut.join("dump.rdb")).expect("a file");
        file.set_len(at).expect("it can be cut");
        let error =
            restore(&FolderFiles::new(&cut), &address(&to), &RestoreOptions::default(), &around.context());
        assert!(matches!(error, Err(SourceError::Dump { .. })), "{at}: {error:?}");
    }
    assert_eq!(to.ask("DBSIZE"), "0");
}

#[test]
fn a_value_that_is_too_new_for_the_server_is_named() {
    let (from, to) = (RedisServer::start(SETTINGS), RedisServer::start(SETTINGS));
    let _ = from.ask("SET text hello");
    let around = Around::new();
    let place = around.place("dump");
    dump(&address(&from), &DumpOptions::default(), &FolderSink::new(&place), &around.context())
        .expect("a dump");
    let mut bytes = std::fs::read(place.join("dump.rdb")).expect("a file");
    bytes[5..9].copy_from_slice(b"0099");
    // A checksum of zero stands for none.
    let end = bytes.len() - 8;
    bytes[end..].fill(0);
    std::fs::write(place.join("dump.rdb"), bytes).expect("it can be written");
    let error =
        restore(&FolderFiles::new(&place), &address(&to), &RestoreOptions::default(), &around.context())
            .expect_err("it is refused")
            .to_string();
    assert!(
        error.contains("RESTORE of key \"text\"") && error.contains("a newer server is needed"),
        "{error}"
    );
}

/// What no Redis answers.
#[test]
fn a_server_that_is_no_redis_is_an_error() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let thread = std::thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let _ = stream.read(&mut [0; 100])?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    });
    let around = Around::new();
    let address = keepfast_sources::address::Address::parse(&format!("redis://127.0.0.1:{port}"));
    let error =
        dump(&address.expect("an address"), &DumpOptions::default(), &Acting::full(1), &around.context())
            .expect_err("no dump")
            .to_string();
    assert!(error.contains("can't connect: it sends what no Redis answers"), "{error}");
    thread.join().expect("no panic").expect("it was asked");
}

//! Logs are in files beside the database, part by part.

use std::fs;

use keepfast_store::{
    Level, LogBody, LogFilter, LogFolder, LogLine, LogPart, PageSize, RunId, ServerId, Store, Trigger,
    UtcTime,
};
use serde_json::{Map, json};

use crate::lab::{Lab, at, id, new_run, on_both, plan};

on_both! {
    what_was_written_is_read;
    old_logs_go_with_their_files;
    damage_of_a_file_is_said_and_other_parts_are_read;
    parts_of_many_runs_that_are_written_at_once_do_not_mix;
    the_log_of_another_server_is_said_to_be_there;
    logs_of_all_runs_are_searched_from_the_newest_part_on;
}

fn line(now: UtcTime, level: Level, message: &str) -> LogLine {
    LogLine { at: now, level, message: message.to_owned(), fields: Map::new() }
}

async fn folder(lab: &Lab, store: &Store, server: &str) -> LogFolder {
    LogFolder::open(store, &lab.path(server), &ServerId::new(server).unwrap()).await.unwrap()
}

async fn write(logs: &LogFolder, run: &RunId, now: UtcTime, level: Level, message: &str) {
    let mut writer = logs.writer(run);
    writer.line(line(now, level, message));
    writer.flush().await.unwrap();
}

async fn read(logs: &LogFolder, run: &RunId, least: Level) -> Vec<LogPart> {
    logs.read(run, None, least, PageSize::MAX).await.unwrap()
}

fn messages(part: &LogPart) -> Vec<String> {
    let LogBody::Lines(lines) = &part.body else { panic!("{part:?}") };
    lines.iter().map(|line| line.message.clone()).collect()
}

async fn what_was_written_is_read(lab: Lab) {
    let store = lab.open().await;
    let logs = folder(&lab, &store, "a").await;
    let run = id("run 1");
    let mut writer = logs.writer(&run);
    writer.flush().await.unwrap();
    writer.line(line(at(1), Level::Info, "begins"));
    let fields = Map::from_iter([("file".to_owned(), json!("a\nb"))]);
    writer.line(LogLine { fields: fields.clone(), ..line(at(2), Level::Warning, "can't be read") });
    writer.flush().await.unwrap();
    writer.line(line(at(3), Level::Debug, "details"));
    writer.flush().await.unwrap();
    let parts = read(&logs, &run, Level::Debug).await;
    assert_eq!(parts.iter().map(|part| (part.part, part.lines)).collect::<Vec<_>>(), [(1, 2), (2, 1)]);
    assert_eq!((parts[0].first, parts[0].last), (at(1), at(2)));
    let LogBody::Lines(lines) = &parts[0].body else { panic!("{parts:?}") };
    assert_eq!(lines[1].fields, fields);
    let bad = read(&logs, &run, Level::Warning).await;
    assert_eq!((bad.len(), messages(&bad[0])), (1, vec!["can't be read".to_owned()]));
    let later = logs.read(&run, Some(1), Level::Debug, PageSize::MAX).await.unwrap();
    assert_eq!(messages(&later[0]), ["details"]);
    assert!(read(&logs, &id("run 2"), Level::Debug).await.is_empty());
    // After another start, there is another file, and the old ones can be read.
    let again = folder(&lab, &store, "a").await;
    write(&again, &run, at(4), Level::Info, "goes on").await;
    let parts = read(&again, &run, Level::Info).await;
    assert_eq!(parts.iter().flat_map(messages).collect::<Vec<_>>(), ["begins", "can't be read", "goes on"]);
    // Long lines are cut, and a part is full at some time.
    let mut writer = again.writer(&run);
    let long = "é".repeat(20_000);
    let full = (0..100).take_while(|_| !writer.line(line(at(5), Level::Info, &long))).count();
    assert!((2..10).contains(&full), "{full}");
}

fn files(lab: &Lab, server: &str) -> usize {
    fs::read_dir(lab.path(server)).unwrap().count()
}

async fn old_logs_go_with_their_files(lab: Lab) {
    let store = lab.open().await;
    for (start, now) in [(1, at(100)), (2, at(200)), (3, at(300))] {
        let logs = folder(&lab, &store, "a").await;
        write(&logs, &id(format!("run {start}")), now, Level::Info, "it ran").await;
    }
    let logs = folder(&lab, &store, "a").await;
    fs::write(lab.path("a").join("00000000.zst"), b"left by a crash").unwrap();
    fs::write(lab.path("a").join("notes.txt"), b"of a person").unwrap();
    assert_eq!(files(&lab, "a"), 5);
    assert_eq!(logs.remove_before(at(201)).await.unwrap(), 3);
    assert_eq!(files(&lab, "a"), 2);
    assert!(read(&logs, &id("run 2"), Level::Debug).await.is_empty());
    assert_eq!(messages(&read(&logs, &id("run 3"), Level::Debug).await[0]), ["it ran"]);
    assert_eq!(logs.remove_before(at(201)).await.unwrap(), 0);
    // The file that is written to stays, however old its lines are.
    write(&logs, &id("run 4"), at(1), Level::Info, "it ran").await;
    logs.remove_before(at(250)).await.unwrap();
    assert_eq!(messages(&read(&logs, &id("run 4"), Level::Debug).await[0]), ["it ran"]);
}

async fn damage_of_a_file_is_said_and_other_parts_are_read(lab: Lab) {
    let store = lab.open().await;
    let logs = folder(&lab, &store, "a").await;
    let run = id("run 1");
    for message in ["one", "two"] {
        write(&logs, &run, at(1), Level::Info, message).await;
    }
    let path = lab.path("a").join("00000001.zst");
    let mut bytes = fs::read(&path).unwrap();
    let shown = zstd::decode_all(&bytes[..]).unwrap();
    assert_eq!(shown.iter().filter(|byte| **byte == b'\n').count(), 2, "zstdcat shows all of it");
    bytes.truncate(bytes.len() - 1);
    fs::write(&path, &bytes).unwrap();
    let parts = read(&logs, &run, Level::Debug).await;
    assert_eq!(messages(&parts[0]), ["one"]);
    let LogBody::Unreadable(why) = &parts[1].body else { panic!("{parts:?}") };
    assert!(why.as_str().contains("00000001.zst"), "{why}");
    fs::remove_file(&path).unwrap();
    let parts = read(&logs, &run, Level::Debug).await;
    assert!(parts.iter().all(|part| matches!(part.body, LogBody::Unreadable(_))), "{parts:?}");
}

async fn parts_of_many_runs_that_are_written_at_once_do_not_mix(lab: Lab) {
    let store = lab.open().await;
    let logs = folder(&lab, &store, "a").await;
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let logs = logs.clone();
            tokio::spawn(async move {
                let run = id(format!("run {number}"));
                for part in 0..10 {
                    let message = format!("{number}.{part}");
                    write(&logs, &run, at(part), Level::Info, &message).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for number in 0..8 {
        let parts = read(&logs, &id(format!("run {number}")), Level::Debug).await;
        let expected: Vec<String> = (0..10).map(|part| format!("{number}.{part}")).collect();
        assert_eq!(parts.iter().flat_map(messages).collect::<Vec<_>>(), expected);
    }
}

async fn the_log_of_another_server_is_said_to_be_there(lab: Lab) {
    let store = lab.open().await;
    let (a, b) = (folder(&lab, &store, "a").await, folder(&lab, &store, "b").await);
    write(&a, &id("run 1"), at(1), Level::Info, "on a").await;
    let parts = read(&b, &id("run 1"), Level::Debug).await;
    assert_eq!(parts[0].body, LogBody::Elsewhere(ServerId::new("a").unwrap()));
    assert_eq!(b.remove_before(UtcTime::MAX).await.unwrap(), 0, "each removes its own");
    assert_eq!(messages(&read(&a, &id("run 1"), Level::Debug).await[0]), ["on a"]);
}

async fn logs_of_all_runs_are_searched_from_the_newest_part_on(lab: Lab) {
    let store = lab.open().await;
    let (a, b) = (folder(&lab, &store, "a").await, folder(&lab, &store, "b").await);
    for (run, of) in [("one", "www"), ("two", "db"), ("three", "www")] {
        store.queue(at(0), &new_run(run, &plan(of), Trigger::Manual)).await.unwrap();
    }
    write(&a, &id("one"), at(10), Level::Info, "one, first").await;
    write(&a, &id("two"), at(20), Level::Error, "two").await;
    write(&a, &id("one"), at(30), Level::Info, "one, second").await;
    write(&b, &id("three"), at(40), Level::Info, "three").await;
    write(&a, &id("of a run that is gone"), at(50), Level::Info, "gone").await;
    let all = LogFilter {
        run: None,
        plan: None,
        repository: None,
        host: None,
        kind: None,
        least: Level::Debug,
        from: None,
        until: None,
    };
    // By pages of one part.
    let search = async |filter: &LogFilter| {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let read = store.log_parts(filter, before.as_ref(), PageSize::at_most(1)).await.unwrap();
            for part in &read.parts {
                let said = match a.body(part, filter.least).await.unwrap() {
                    LogBody::Lines(lines) => lines[0].message.clone(),
                    LogBody::Elsewhere(server) => format!("at {server}"),
                    LogBody::Unreadable(why) => panic!("{why}"),
                };
                found.push(format!("{} of {}: {said}", part.run.id, part.run.subject.plan.as_ref().unwrap()));
                // The part itself is listed again if it was looked at in part.
                let again = part.key().with_itself();
                let again = store.log_parts(filter, Some(&again), PageSize::at_most(1)).await.unwrap();
                assert_eq!(again.parts[0].key(), part.key());
            }
            before = read.next;
            if before.is_none() {
                return found;
            }
        }
    };
    let every = ["three of www: at b", "one of www: one, second", "two of db: two", "one of www: one, first"];
    assert_eq!(search(&all).await, every);
    let of_plan = LogFilter { plan: Some(plan("www")), ..all.clone() };
    assert_eq!(search(&of_plan).await, [every[0], every[1], every[3]]);
    let of_run = LogFilter { run: Some(id("one")), ..all.clone() };
    assert_eq!(search(&of_run).await, [every[1], every[3]]);
    let bad = LogFilter { least: Level::Warning, ..all.clone() };
    assert_eq!(search(&bad).await, [every[2]]);
    let of_time = LogFilter { from: Some(at(20)), until: Some(at(40)), ..all.clone() };
    assert_eq!(search(&of_time).await, [every[1], every[2]]);
    let of_run = LogFilter { run: Some(id("one")), from: Some(at(20)), ..all };
    assert_eq!(search(&of_run).await, [every[1]]);
}

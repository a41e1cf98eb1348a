//! The whole state goes out as lines of JSON, and into either kind of database.

use keepfast_store::{
    Apply, ConfigHash, DeliveryState, Ending, ErrorCategory, EventKind, Fingerprint, Follower, HostId, Level,
    LogFolder, LogLine, NewDelivery, NewEvent, PageSize, ProblemKind, ReaderId, RepositoryId, Routing,
    RunError, RunFilter, ScheduleId, ServerId, ServerLock, SlotChange, Snapshot, SnapshotFilter, SnapshotId,
    Store, StoreError, Subject, Tag, TargetId, Text, Trigger, UndoId, UserName, UtcTime, Verdict, Work,
};
use serde_json::{Map, json};

use crate::lab::{
    Lab, On, all_events, at, claim, decision, executor, fire, id, lose_all, new_run, on_both, plan, stored,
    unfired, work,
};

on_both! {
    an_export_can_be_imported_into_either_database;
    an_import_is_refused_unless_the_database_is_empty;
    an_import_that_is_not_whole_changes_nothing;
    many_rows_are_exported_by_pages;
    a_state_is_rebuilt_and_taken_over;
    an_export_is_of_one_moment_while_others_write;
}

/// Something in each table.
async fn fill(lab: &Lab, store: &Store) {
    let www = plan("www");
    let missed = SlotChange::Missed(unfired(&www, at(0), at(60), 2, "the server was off"));
    let (seen, _) = stored(store.decide(at(90), &decision(&www, None, vec![missed])).await.unwrap());
    let host = HostId::new("host").unwrap();
    let mut run = new_run("run \"1\" ünïcode", &www, Trigger::Schedule);
    run.subject.host = Some(host.clone());
    let changes = vec![SlotChange::Fire { at: at(120), run }];
    stored(store.decide(at(120), &decision(&www, seen, changes)).await.unwrap());
    let held = claim(store, at(121), &id("run \"1\" ünïcode"), &executor("a")).await.unwrap();
    let undo = UndoId::new("undo").unwrap();
    store.store_undo(at(122), &held, &undo, &host, &json!(["true"])).await.unwrap();
    let error = RunError {
        category: ErrorCategory::new("network").unwrap(),
        fingerprint: Fingerprint::new("n").unwrap(),
        message: Text::from("no answer"),
    };
    let failed = Work { error: Some(error), report: Some(json!({"files": 1})), ..work(Ending::Failed) };
    store.end(at(123), &held, &failed).await.unwrap();
    let mut other = new_run("run 2", &plan("db"), Trigger::Api);
    other.subject.host = Some(host.clone());
    store.queue(at(130), &other).await.unwrap();
    let held = claim(store, at(131), &id("run 2"), &executor("a")).await.unwrap();
    store.start(at(132), &held).await.unwrap();
    store.pause(at(140), &www, None, &UserName::new("ann").unwrap(), None).await.unwrap();
    let follower = Follower {
        server: ServerId::new("server a").unwrap(),
        host: host.clone(),
        config: ConfigHash::new("c").unwrap(),
    };
    store.follow(at(145), &follower, Apply::IfNew).await.unwrap();
    let (subject, kind) = (Subject::new("plan:www").unwrap(), ProblemKind::new("overdue").unwrap());
    store.see_problem(at(150), &subject, &kind, &json!({}), None).await.unwrap();
    let last = store.last_event().await.unwrap();
    let delivery = NewDelivery {
        event: last,
        problem: None,
        target: TargetId::new("ops").unwrap(),
        document: json!("text"),
        not_before: None,
    };
    let reader = ReaderId::new("routes").unwrap();
    let from = store.reader_place(&reader).await.unwrap().generation;
    let document = Some(json!({"open": ["plan:www"]}));
    let routing = Routing { reader: &reader, from, to: last, document, deliveries: &[delivery] };
    assert!(store.route(at(151), &routing).await.unwrap());
    let snapshot = Snapshot {
        repository: RepositoryId::new("main").unwrap(),
        id: SnapshotId::new("abc").unwrap(),
        time: at(120),
        host,
        plan: Some(www),
        tags: vec![Tag::new("a").unwrap()],
        files: 1,
        size_bytes: u64::MAX,
        new_bytes: 3,
        clean: true,
        checked: None,
        protected: true,
        drilled: None,
    };
    store.store_snapshots(&[snapshot]).await.unwrap();
    let logs = LogFolder::open(store, &lab.path("logs"), &ServerId::new("a").unwrap()).await.unwrap();
    let mut writer = logs.writer(&id("run 2"));
    writer.line(LogLine { at: at(1), level: Level::Info, message: "x".to_owned(), fields: Map::new() });
    writer.flush().await.unwrap();
    let patterns = store.error_patterns(None, PageSize::MAX).await.unwrap();
    assert_eq!(patterns.rows.len(), 1);
}

async fn export(store: &Store) -> Vec<u8> {
    let mut lines = Vec::new();
    store.export(&mut lines).await.unwrap();
    lines
}

async fn an_export_can_be_imported_into_either_database(lab: Lab) {
    let store = lab.open().await;
    fill(&lab, &store).await;
    let exported = export(&store).await;
    let text = String::from_utf8(exported.clone()).unwrap();
    for table in [
        "schedule_state",
        "slot",
        "run",
        "undo",
        "error_pattern_host",
        "log_part",
        "snapshot_word",
        "delivery",
        "reader",
    ] {
        assert!(text.contains(&format!("{{\"table\":\"{table}\"")), "nothing of {table}");
    }
    for on in [On::Sqlite, On::Postgres] {
        let other_lab = Lab::new(on);
        let other = other_lab.open().await;
        let rows = other.import(&mut &exported[..]).await.unwrap();
        assert_eq!(usize::try_from(rows).unwrap() + 2, text.lines().count());
        assert_eq!(String::from_utf8(export(&other).await).unwrap(), text, "{on:?}");

        // And it goes on from there.
        assert_eq!(all_events(&other).await, all_events(&store).await);
        assert_eq!(lose_all(&other, at(1000)).await, [id("run 2")]);
        assert_eq!(other.schedule_states().await.unwrap(), store.schedule_states().await.unwrap());
        let routes = ReaderId::new("routes").unwrap();
        assert_eq!(other.reader_place(&routes).await.unwrap(), store.reader_place(&routes).await.unwrap());
        let seen = other.schedule_states().await.unwrap()[0].generation;
        stored(other.decide(at(180), &fire(&plan("www"), Some(seen), at(180), "run 3")).await.unwrap());
        let subject = Subject::new("plan:db").unwrap();
        let kind = ProblemKind::new("overdue").unwrap();
        other.see_problem(at(1), &subject, &kind, &json!({}), None).await.unwrap();
        let filter = SnapshotFilter { search: "www".to_owned(), ..SnapshotFilter::default() };
        assert_eq!(other.snapshots(&filter, None, PageSize::MAX).await.unwrap().rows.len(), 1);
    }
}

async fn an_import_is_refused_unless_the_database_is_empty(lab: Lab) {
    let store = lab.open().await;
    store.queue(at(0), &new_run("run 1", &plan("www"), Trigger::Manual)).await.unwrap();
    let exported = export(&store).await;
    let error = store.import(&mut &exported[..]).await.unwrap_err();
    assert!(matches!(error, StoreError::NotEmpty { table: "run", .. }), "{error}");
}

async fn an_import_that_is_not_whole_changes_nothing(lab: Lab) {
    let full = {
        let other_lab = Lab::new(On::Sqlite);
        let other = other_lab.open().await;
        fill(&other_lab, &other).await;
        String::from_utf8(export(&other).await).unwrap()
    };
    let store = lab.open().await;
    let lines: Vec<&str> = full.lines().collect();
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines: Vec<String> = lines.iter().map(|line| format!("{line}\n")).collect();
        change(&mut lines);
        lines.concat()
    };
    let run = lines.iter().position(|line| line.starts_with("{\"table\":\"run\"")).unwrap();
    let cases = [
        (String::new(), "it is empty"),
        ("{}\n".to_owned(), "no exported state"),
        (
            with(&|lines| lines[0] = "{\"keepfast_state\":1,\"tables\":77}\n".to_owned()),
            "tables of version 77",
        ),
        (with(&|lines| lines.truncate(lines.len() - 1)), "the file was cut off"),
        (with(&|lines| lines.last_mut().unwrap().truncate(9)), "cut off, or too long"),
        (with(&|lines| drop(lines.remove(run))), "were read"),
        (with(&|lines| lines.push("{}\n".to_owned())), "goes on after its end"),
        (
            with(&|lines| lines[run] = "{\"table\":\"pg_class\",\"row\":{}}\n".to_owned()),
            "no table that is known",
        ),
        (with(&|lines| lines[run] = "junk\n".to_owned()), "no JSON object"),
        (
            with(&|lines| lines[run] = lines[run].replace("\"attempt\":1", "\"attempt\":\"1\"")),
            "column attempt of table run",
        ),
        (
            with(&|lines| lines[run] = lines[run].replace("\"attempt\":1", "\"x\":1,\"attempt\":1")),
            "no column x",
        ),
    ];
    for (text, expected) in cases {
        let error = store.import(&mut text.as_bytes()).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let twice = with(&|lines| lines.insert(run, lines[run].clone()));
    assert!(matches!(store.import(&mut twice.as_bytes()).await, Err(StoreError::Database { .. })));
    assert!(all_events(&store).await.is_empty());
    assert_eq!(store.import(&mut full.as_bytes()).await.unwrap() + 2, u64::try_from(lines.len()).unwrap());
}

async fn many_rows_are_exported_by_pages(lab: Lab) {
    let store = lab.open().await;
    for number in 0..1100 {
        let (kind, subject) = (EventKind::new("test.said").unwrap(), Subject::new("test").unwrap());
        store.publish(NewEvent { at: at(number), kind, subject, document: json!(number) }).await.unwrap();
    }
    let exported = String::from_utf8(export(&store).await).unwrap();
    assert_eq!(exported.lines().filter(|line| line.contains("\"table\":\"event\"")).count(), 1100);
    let other_lab = Lab::new(On::Sqlite);
    let other = other_lab.open().await;
    other.import(&mut exported.as_bytes()).await.unwrap();
    assert_eq!(all_events(&other).await, all_events(&store).await);
}

/// What a server does with a state that was restored: nothing of before is held, sent or undone any more.
async fn a_state_is_rebuilt_and_taken_over(lab: Lab) {
    let store = lab.open().await;
    fill(&lab, &store).await;
    let exported = export(&store).await;
    let place = lab.path("rebuilt.db");
    let lock = ServerLock::take(&place).unwrap();
    let (rebuilt, rows) = Store::rebuild_sqlite(&lock, &mut &exported[..]).await.unwrap();
    assert_eq!(export(&rebuilt).await, exported);
    assert!(rows > 10);
    // The run that made the copy did its work.
    let held = rebuilt.adopt(&id("run 2")).await.unwrap().unwrap();
    let ended = rebuilt.end(at(500), &held, &work(Ending::Ok)).await.unwrap();
    assert_eq!(ended.verdict, Some(Verdict::Ok));
    assert!(rebuilt.adopt(&id("run 2")).await.unwrap().is_none(), "it has ended");
    assert!(rebuilt.active_runs().await.unwrap().is_empty());
    let why = Text::from("the server was rebuilt");
    assert_eq!(rebuilt.give_up_deliveries(at(501), &why).await.unwrap(), 1);
    assert_eq!(rebuilt.give_up_deliveries(at(501), &why).await.unwrap(), 0);
    let given_up = &rebuilt.deliveries(None, None, None, PageSize::MAX).await.unwrap().rows[0];
    assert_eq!((given_up.state, &given_up.last_error), (DeliveryState::Undeliverable, &Some(why.clone())));
    assert!(rebuilt.redeliver(at(502), given_up.key).await.unwrap(), "a user can have it sent");
    let undos = rebuilt.give_up_undos(at(503), &why).await.unwrap();
    assert_eq!(undos.iter().map(|undo| undo.id.as_str()).collect::<Vec<_>>(), ["undo"]);
    assert!(rebuilt.left_undos(&HostId::new("host").unwrap()).await.unwrap().is_empty());
    // New files of logs have the names of those that are lost.
    rebuilt.forget_logs().await.unwrap();
    assert!(!String::from_utf8(export(&rebuilt).await).unwrap().contains("{\"table\":\"log_"));
    // Nothing is put over what is there.
    assert!(rebuilt.import(&mut &exported[..]).await.is_err());
}

async fn an_export_is_of_one_moment_while_others_write(lab: Lab) {
    let store = lab.open().await;
    let writing = async {
        for number in 0..60_i64 {
            let run = id(format!("run {number}"));
            store.queue(at(number), &new_run(run.as_str(), &plan("www"), Trigger::Manual)).await.unwrap();
            let held = claim(&store, at(number), &run, &executor("a")).await.unwrap();
            store.end(at(number), &held, &work(Ending::Ok)).await.unwrap();
        }
    };
    let copying = async {
        let mut copies = Vec::new();
        for _ in 0..12 {
            copies.push(export(&store).await);
            tokio::task::yield_now().await;
        }
        copies
    };
    let ((), copies) = tokio::join!(writing, copying);
    let mut sizes = Vec::new();
    for (number, copy) in copies.iter().enumerate() {
        let lock = ServerLock::take(&lab.path(&format!("copy-{number}.db"))).unwrap();
        let (copied, _) = Store::rebuild_sqlite(&lock, &mut &copy[..]).await.unwrap();
        // What a transaction has written is there as a whole: the counter, each event, each run.
        let events = all_events(&copied).await;
        let numbers: Vec<u64> = events.iter().map(|event| event.sequence.number()).collect();
        assert_eq!(numbers, (1..=copied.last_event().await.unwrap().number()).collect::<Vec<_>>());
        let ended = events.iter().filter(|event| event.kind == EventKind::RUN_ENDED).count();
        let runs = copied.runs(&RunFilter::default(), None, PageSize::MAX).await.unwrap().rows;
        assert_eq!(runs.iter().filter(|run| run.verdict.is_some()).count(), ended);
        sizes.push(runs.len());
        copied.close().await;
    }
    assert!(sizes.first() < sizes.last(), "nothing was written meanwhile: {sizes:?}");
}

/// An export of the first version: what its tables held then.
const FIRST: &str = r#"{"keepfast_state":1,"tables":1}
{"table":"counter","row":{"name":"event","last":7}}
{"table":"counter","row":{"name":"fence","last":3}}
{"table":"plan_state","row":{"plan":"www","born":1,"last_slot":60,"last_ok":61}}
{"table":"slot","row":{"plan":"www","slot":60,"last":60,"slots":1,"outcome":"fired","run":"run 1","decided":61}}
{"table":"reader","row":{"reader":"routes","sequence":7}}
{"table":"delivery","row":{"number":5,"event":1,"target":"ops","document":"{}","state":"delivered","attempts":1,"created":1,"next_attempt":1}}
{"rows":6}
"#;

#[tokio::test]
async fn an_export_of_older_tables_is_brought_to_this_version_and_one_of_newer_tables_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lock = ServerLock::take(&folder.path().join("state.db")).unwrap();
    let (store, rows) = Store::rebuild_sqlite(&lock, &mut FIRST.as_bytes()).await.unwrap();
    assert_eq!(rows, 6);
    let slots =
        store.slots(&ScheduleId::new("plan:www").unwrap(), UtcTime::MIN, PageSize::MAX).await.unwrap();
    assert_eq!(slots.iter().map(|slot| slot.run.as_str()).collect::<Vec<_>>(), ["run 1"]);
    let text = String::from_utf8(export(&store).await).unwrap();
    assert!(
        text.contains("{\"keepfast_state\":1,\"tables\":7}") && text.contains("\"generation\":0"),
        "{text}"
    );

    let lock = ServerLock::take(&folder.path().join("other.db")).unwrap();
    let newer = FIRST.replace("\"tables\":1", "\"tables\":8");
    let error = Store::rebuild_sqlite(&lock, &mut newer.as_bytes()).await.unwrap_err();
    assert!(matches!(error, StoreError::NewerTables { found: 8, known: 7, .. }), "{error}");
    assert!(error.to_string().contains("a newer keepfast"), "{error}");
    for (wrong, why) in [
        (FIRST.replace("\"slot\",\"row\"", "\"slots\",\"row\""), "no table that is known"),
        (FIRST.replace("\"decided\"", "\"decided\\\" INTEGER\""), "has no column"),
        (FIRST.replace("{\"rows\":6}\n", ""), "cut off"),
        (FIRST.replace("\"tables\":1", "\"tables\":0"), "no exported state"),
    ] {
        let lock = ServerLock::take(&folder.path().join(why)).unwrap();
        let error = Store::rebuild_sqlite(&lock, &mut wrong.as_bytes()).await.unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
}

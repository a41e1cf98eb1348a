//! Which stores the probe accepts and which it refuses.

use std::sync::Arc;
use std::time::Instant;

use keepfast_backend::{
    Backend, BackendError, BackendErrorKind, Created, Flaw, Listed, LocalBackend, MemoryBackend, Operation,
    ProbeOptions, ProbeReport, RunLink, S3Backend, S3Store, probe,
};
use keepfast_testkit::servers::{Kind, Server};

use crate::s3;

pub fn probed(store: &dyn Backend) -> ProbeReport {
    let options = ProbeOptions { tag: "test", large_bytes: 300_000, clock: Instant::now };
    probe(store, &options).expect("the store can be used")
}

fn flaws(store: &dyn Backend) -> Vec<Flaw> {
    probed(store).flaws.into_iter().map(|(flaw, _)| flaw).collect()
}

fn is_empty(store: &dyn Backend) -> bool {
    let mut any = false;
    store.list("probe/", &mut |_| any = true).expect("it lists");
    !any
}

fn on_server(kind: Kind) -> S3Backend {
    let server = Server::shared(kind);
    let mut options = s3::options(&server, "here");
    options.page_objects = 2;
    // The server must outlive the store; the process ends with the test.
    std::mem::forget(server);
    S3Store::connect(options).expect("the options are sound").for_run(RunLink::default())
}

#[test]
fn sound_stores_pass_and_nothing_is_left_in_them() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let stores: [Box<dyn Backend>; 2] =
        [Box::new(MemoryBackend::default()), Box::new(LocalBackend::new(folder.path()))];
    for store in stores {
        let report = probed(&*store);
        assert!(report.is_sound(), "{:?}", report.flaws);
        assert!(report.create.count > 5 && report.create.max >= report.create.median);
        assert!(is_empty(&*store));
    }
}

#[test]
fn seaweedfs_passes() {
    let store = on_server(Kind::SeaweedFs);
    assert_eq!(flaws(&store), []);
    assert!(is_empty(&store));
}

#[test]
fn moto_passes() {
    let store = on_server(Kind::Moto);
    assert_eq!(flaws(&store), []);
    assert!(is_empty(&store));
}

#[test]
fn a_server_that_ignores_the_condition_of_a_create_is_found_out() {
    let report = probed(&on_server(Kind::S3rver));
    let flaws: Vec<Flaw> = report.flaws.iter().map(|(flaw, _)| *flaw).collect();
    assert_eq!(flaws, [Flaw::OverwritesObjects, Flaw::RacesHaveNoWinner]);
    assert!(report.is_safe_for_one_writer());
    assert!(report.flaws[0].0.to_string().contains("If-None-Match"));
}

/// What is wrong with a store.
#[derive(Clone, Copy)]
enum Wrong {
    ListsLate,
    LosesBytes,
    ShiftsRanges,
    KeepsRemoved,
    DeniesMissing,
    EveryoneWins,
}

struct WrongStore(Arc<MemoryBackend>, Wrong);

impl Backend for WrongStore {
    fn create(&self, name: &str, parts: &[&[u8]]) -> Result<Created, BackendError> {
        let body = parts.concat();
        let body = if matches!(self.1, Wrong::LosesBytes) { &body[..body.len() / 2] } else { &body };
        let created = self.0.create(name, &[body])?;
        Ok(if matches!(self.1, Wrong::EveryoneWins) { Created::New } else { created })
    }

    fn sync(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn read_into(&self, name: &str, bytes_max: u64, bytes: &mut Vec<u8>) -> Result<(), BackendError> {
        self.0.read_into(name, bytes_max, bytes).map_err(|mut error| {
            if matches!(self.1, Wrong::DeniesMissing) {
                error.kind = BackendErrorKind::Denied;
            }
            error
        })
    }

    fn read_range_into(
        &self,
        name: &str,
        offset: u64,
        length: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), BackendError> {
        let shift = u64::from(matches!(self.1, Wrong::ShiftsRanges) && offset > 0);
        self.0.read_range_into(name, offset - shift, length, bytes)
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(Listed)) -> Result<(), BackendError> {
        let mut all = Vec::new();
        self.0.list(prefix, &mut |object| all.push(object))?;
        if matches!(self.1, Wrong::ListsLate) {
            all.pop();
        }
        all.into_iter().for_each(found);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), BackendError> {
        if matches!(self.1, Wrong::KeepsRemoved) { Ok(()) } else { self.0.remove(name) }
    }

    fn location(&self) -> String {
        "a store with a flaw".to_owned()
    }
}

#[test]
fn each_flaw_is_found_by_its_name() {
    for (wrong, flaw) in [
        (Wrong::ListsLate, Flaw::ListsWrong),
        (Wrong::LosesBytes, Flaw::ReadsWrongBytes),
        (Wrong::ShiftsRanges, Flaw::ReadsWrongRanges),
        (Wrong::KeepsRemoved, Flaw::KeepsRemoved),
        (Wrong::DeniesMissing, Flaw::HidesWhatIsMissing),
        (Wrong::EveryoneWins, Flaw::OverwritesObjects),
    ] {
        let report = probed(&WrongStore(Arc::default(), wrong));
        assert_eq!(report.flaws.first().map(|(flaw, _)| *flaw), Some(flaw));
        assert_eq!(report.is_safe_for_one_writer(), flaw == Flaw::OverwritesObjects);
    }
}

#[test]
fn a_store_that_cant_be_used_is_an_error_and_no_flaw() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    std::fs::write(folder.path().join("probe"), "in the way").expect("it can be written");
    let options = ProbeOptions { tag: "test", large_bytes: 1000, clock: Instant::now };
    let error = probe(&LocalBackend::new(folder.path()), &options).expect_err("nothing can be created");
    assert_eq!(error.operation, Operation::Create);
}

//! Configs and keyrings: numbered, chained objects that owners sign. The newest authentic one
//! counts; what stands under other numbers and isn't authentic counts for nothing.

use keepfast_backend::Backend;
use keepfast_format::config::Config;
use keepfast_format::error::Category;
use keepfast_format::ids::{ObjectHash, RepositoryId, SlotId};
use keepfast_format::keyring::Keyring;
use keepfast_format::names::{self, ObjectName};
use keepfast_format::signed::{Envelope, SignedKind};
use keepfast_format::{FormatError, limits};

use super::objects::Objects;
use crate::error::{EngineError, Finding, Loss, Result};

/// An object of such a chain.
pub(super) trait Numbered: Sized {
    /// What its envelope says that it is.
    const KIND: SignedKind;

    /// The name of the `n`th.
    fn name(n: u32) -> ObjectName;

    /// Opens the `n`th.
    fn open(bytes: &[u8], id: RepositoryId, n: u32, owners: &[[u8; 32]]) -> Result<Self, FormatError>;

    /// The hash of the one that was the newest before.
    fn previous(&self) -> Option<ObjectHash>;
}

impl Numbered for Config {
    const KIND: SignedKind = SignedKind::Config;

    fn name(n: u32) -> ObjectName {
        names::config(n)
    }

    fn open(bytes: &[u8], id: RepositoryId, n: u32, owners: &[[u8; 32]]) -> Result<Self, FormatError> {
        Self::open(bytes, id, n, owners)
    }

    fn previous(&self) -> Option<ObjectHash> {
        self.previous
    }
}

impl Numbered for Keyring {
    const KIND: SignedKind = SignedKind::Keyring;

    fn name(n: u32) -> ObjectName {
        names::keyring(n)
    }

    fn open(bytes: &[u8], id: RepositoryId, n: u32, owners: &[[u8; 32]]) -> Result<Self, FormatError> {
        Self::open(bytes, id, n, owners)
    }

    fn previous(&self) -> Option<ObjectHash> {
        self.previous
    }
}

/// Whose signatures count, and for which repository.
#[derive(Clone, Copy)]
pub(super) struct Trust<'a> {
    pub repository: RepositoryId,
    pub owners: &'a [[u8; 32]],
}

/// The newest authentic object of a chain.
pub(super) struct Newest<T> {
    pub object: T,
    /// Objects with higher numbers that aren't authentic, and those between it and the one that it follows.
    pub ignored: Vec<Finding>,
    /// It doesn't follow the next lower one, which is missing or damaged.
    pub is_cut_off: bool,
}

/// The newest authentic object among those with these numbers, which ascend. It is an error if there is
/// none; and if an owner has signed a newer one that this program doesn't understand.
pub(super) fn newest<T: Numbered>(objects: &Objects, trust: Trust<'_>, numbers: &[u32]) -> Result<Newest<T>> {
    let mut ignored = Vec::new();
    let mut found: Option<T> = None;
    for n in numbers.iter().rev() {
        let opened = look::<T>(objects, trust, *n, false)?;
        match (opened, found) {
            (Err(error), before) => {
                found = before;
                ignored.push((*n, error));
            }
            (Ok((object, _)), None) if object.previous().is_none() => {
                return Ok(Newest { object, ignored: findings_of::<T>(ignored), is_cut_off: *n != 0 });
            }
            (Ok((object, _)), None) => found = Some(object),
            (Ok((_, hash)), Some(object)) => {
                let is_cut_off = object.previous() != Some(hash);
                return Ok(Newest { object, ignored: findings_of::<T>(ignored), is_cut_off });
            }
        }
    }
    match (found, ignored.pop()) {
        // It says that it follows another.
        (Some(object), lowest) => {
            ignored.extend(lowest);
            Ok(Newest { object, ignored: findings_of::<T>(ignored), is_cut_off: true })
        }
        (None, Some((_, lowest))) => Err(lowest),
        (None, None) => Err(EngineError::Missing { object: T::name(0).to_string(), loss: Loss::Parameters }),
    }
}

/// What is wrong with the objects of these numbers.
fn findings_of<T: Numbered>(errors: Vec<(u32, EngineError)>) -> Vec<Finding> {
    errors.into_iter().filter_map(|(n, error)| Finding::from_damage(T::name(n), error).ok()).collect()
}

/// What is wrong with a chain: each object that isn't authentic, or doesn't follow the authentic one
/// below it. Everything is read from the store.
pub(super) fn flaws<T: Numbered>(
    objects: &Objects,
    trust: Trust<'_>,
    numbers: &[u32],
) -> Result<Vec<Finding>> {
    let mut flaws = Vec::new();
    let mut before: Option<(u32, ObjectHash)> = None;
    for n in numbers {
        let name = T::name(*n);
        match look::<T>(objects, trust, *n, true) {
            Ok(Ok((object, hash))) => {
                if object.previous() != before.map(|(_, hash)| hash) || (before.is_none() && *n != 0) {
                    flaws.push(Finding { object: name, what: cut_off::<T>(before.map(|(n, _)| n)) });
                }
                before = Some((*n, hash));
            }
            Ok(Err(error)) | Err(error @ EngineError::Damaged { .. }) => {
                flaws.push(Finding::from_damage(name, error)?);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(flaws)
}

/// The error of a program that would write or remove, where the newest object is cut off.
pub(super) fn cut_off_error<T: Numbered>(n: u32) -> EngineError {
    let what = "the object that it follows is missing or damaged".to_owned();
    let remedy = "that one is restored from a copy of the repository".to_owned();
    Finding { object: T::name(n), what }.blocks(remedy)
}

fn cut_off<T: Numbered>(lower: Option<u32>) -> String {
    match lower {
        Some(lower) => {
            format!("it doesn't follow {}: the object that it follows is missing or damaged", T::name(lower))
        }
        None => "it isn't the first, and the object that it follows is missing or damaged".to_owned(),
    }
}

/// Opens one. The inner error is that it isn't authentic. What an owner has signed and this program
/// doesn't understand is the outer: to ignore that would be to go back to an older state.
fn look<T: Numbered>(
    objects: &Objects,
    trust: Trust<'_>,
    n: u32,
    from_store: bool,
) -> Result<Result<(T, ObjectHash), EngineError>> {
    let name = T::name(n);
    let limit = limits::SMALL_OBJECT_BYTES_MAX;
    let open = |bytes: &[u8]| Ok((T::open(bytes, trust.repository, n, trust.owners)?, ObjectHash::of(bytes)));
    let read =
        if from_store { objects.read_stored(name, limit, open) } else { objects.read(name, limit, open) };
    let (object, source) = match read {
        Ok(opened) => return Ok(Ok(opened)),
        Err(EngineError::Damaged { object, source }) => (object, source),
        Err(error) => return Err(error),
    };
    let is_signed = |bytes: &[u8]| {
        let envelope = Envelope::decode(bytes)?;
        envelope.verify_by_owner(T::KIND, trust.repository, trust.owners).map(drop)
    };
    let is_foreign = source.category() == Category::Authentic
        || matches!(source, FormatError::OverLimit { what: "object", .. })
        || matches!(objects.read_stored(name, limit, is_signed), Err(EngineError::Damaged { .. }));
    let error = EngineError::Damaged { object, source };
    if is_foreign { Ok(Err(error)) } else { Err(error) }
}

/// The numbers of the configs, in ascending order.
pub(super) fn list_configs(backend: &dyn Backend) -> Result<Vec<u32>> {
    let mut numbers = Vec::new();
    backend.list(names::CONFIG, &mut |listed| {
        numbers.extend(names::parse_numbered(names::CONFIG, &listed.name));
    })?;
    numbers.sort_unstable();
    Ok(numbers)
}

/// The keyrings and key slots in a store.
pub(super) struct ListedKeys {
    /// The keyrings' numbers, in ascending order.
    pub keyrings: Vec<u32>,
    /// The key slots, in ascending order.
    pub slots: Vec<SlotId>,
}

impl ListedKeys {
    /// Lists them.
    pub fn list(backend: &dyn Backend) -> Result<Self> {
        let (mut keyrings, mut slots) = (Vec::new(), Vec::new());
        backend.list(names::KEY_OBJECTS, &mut |listed| {
            keyrings.extend(names::parse_numbered(names::KEYRING, &listed.name));
            slots.extend(names::parse_slot(&listed.name));
        })?;
        keyrings.sort_unstable();
        slots.sort_unstable();
        Ok(Self { keyrings, slots })
    }
}

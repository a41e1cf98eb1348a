//! Key slots: which are tried with a password, in which order. Anyone that may create objects can put
//! slots there that ask for much memory and work. So the cheap ones are tried first, and not all of them.

use std::collections::BTreeMap;
use std::fmt;

use keepfast_backend::Backend;
use keepfast_format::ids::{RepositoryId, SlotId};
use keepfast_format::keys::Identity;
use keepfast_format::slot::KeySlot;
use keepfast_format::{FormatError, limits, names};

use super::soundness::judge;
use crate::error::{EngineError, Finding, Loss, Result, SlotsLeft};

/// How much is done to find the key slot of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotLimits {
    /// Memory that one slot may ask for, in KiB.
    pub memory_kib_max: u64,
    /// Slots that are tried.
    pub slots_max: usize,
    /// Work of all slots that are tried: the sum of their memory, in KiB, times their passes.
    pub work_kib_max: u64,
}

impl Default for SlotLimits {
    /// 1 GiB for a slot, 64 slots, and the work of 128 slots as `init` makes them.
    fn default() -> Self {
        Self { memory_kib_max: 1 << 20, slots_max: 64, work_kib_max: 16 << 20 }
    }
}

impl SlotLimits {
    /// All slots that ask for no more memory than this, in bytes, however many there are.
    #[must_use]
    pub fn of_memory(bytes: u64) -> Self {
        Self { memory_kib_max: bytes >> 10, slots_max: usize::MAX, work_kib_max: u64::MAX }
    }
}

/// What a password has opened: a holder's keys. They are kept as long as runs need them, so that a password is
/// stretched once, and are wiped from memory then.
pub struct Unlocked {
    pub(super) slot: SlotId,
    pub(super) repository: RepositoryId,
    pub(super) identity: Identity,
}

impl fmt::Debug for Unlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unlocked({}, {})", self.repository, self.slot)
    }
}

/// Opens a key slot among these that the password fits: first `hint`, then the cheapest.
pub(super) fn unlock(
    backend: &dyn Backend,
    mut ids: Vec<SlotId>,
    password: &[u8],
    limits: SlotLimits,
    hint: Option<SlotId>,
) -> Result<Unlocked> {
    if ids.is_empty() {
        return Err(EngineError::Missing {
            object: format!("{}: every key slot", names::KEYS),
            loss: Loss::KeySlots,
        });
    }
    let mut attempt = Attempt { password, limits, tried: 0, work_kib: 0, left: SlotsLeft::default() };
    let mut damaged = None;
    if let Some(hint) = hint.filter(|hint| ids.contains(hint)) {
        ids.retain(|id| *id != hint);
        if let Ok(slot) = read_slot(backend, hint)? {
            match attempt.on(hint, &slot) {
                Ok(Some(unlocked)) => return Ok(unlocked),
                Ok(None) => {}
                Err(error) => damaged = Some(error),
            }
        } else {
            ids.push(hint);
        }
    }
    // Cheapest first. Of a flood of slots no more are kept than are tried.
    let mut waiting: BTreeMap<(u64, SlotId), KeySlot> = BTreeMap::new();
    for id in ids {
        match read_slot(backend, id)? {
            Ok(slot) if attempt.is_too_large(&slot) => attempt.left.too_large += 1,
            Ok(slot) => {
                waiting.insert((slot.cost().work_kib(), id), slot);
                if waiting.len() > limits.slots_max {
                    waiting.pop_last();
                    attempt.left.too_many += 1;
                }
            }
            Err(error) => {
                attempt.left.unreadable.push(id);
                let error = EngineError::damaged(names::slot(id))(error);
                damaged = damaged.or(Some(error));
            }
        }
    }
    for ((_, id), slot) in waiting {
        match attempt.on(id, &slot) {
            Ok(Some(unlocked)) => return Ok(unlocked),
            Ok(None) => {}
            Err(error) => damaged = damaged.or(Some(error)),
        }
    }
    match damaged {
        // Where no slot could be tried at all, the password isn't the reason.
        Some(error) if attempt.tried == 0 && !attempt.left.can_be_tried() => Err(error),
        _ => Err(EngineError::WrongPassword { location: backend.location(), left: attempt.left }),
    }
}

/// A password that is tried on one slot after the other.
struct Attempt<'a> {
    password: &'a [u8],
    limits: SlotLimits,
    /// Slots that the password was wrong for.
    tried: usize,
    work_kib: u64,
    left: SlotsLeft,
}

impl Attempt<'_> {
    fn is_too_large(&self, slot: &KeySlot) -> bool {
        u64::from(slot.cost().memory_kib) > self.limits.memory_kib_max
    }

    /// Tries a slot, if the limits allow it; nothing if it doesn't open with this password.
    fn on(&mut self, id: SlotId, slot: &KeySlot) -> Result<Option<Unlocked>> {
        if self.is_too_large(slot) {
            self.left.too_large += 1;
            return Ok(None);
        }
        let work_kib = self.work_kib.saturating_add(slot.cost().work_kib());
        if self.tried >= self.limits.slots_max || work_kib > self.limits.work_kib_max {
            self.left.too_many += 1;
            return Ok(None);
        }
        self.work_kib = work_kib;
        match slot.unwrap(self.password) {
            Ok((repository, identity)) => Ok(Some(Unlocked { slot: id, repository, identity })),
            Err(FormatError::WrongPassword) => {
                self.tried += 1;
                Ok(None)
            }
            Err(error) => Err(EngineError::damaged(names::slot(id))(error)),
        }
    }
}

/// What isn't a key slot among the objects with these slots' names.
pub(super) fn flaws(backend: &dyn Backend, ids: &[SlotId]) -> Result<Vec<Finding>> {
    let mut flaws = Vec::new();
    for id in ids {
        if let Err(error) = read_slot(backend, *id)? {
            flaws.push(Finding { object: names::slot(*id), what: error.to_string() });
        }
    }
    Ok(flaws)
}

/// Reads a slot. The inner error is that its bytes don't fit its name, or don't decode.
fn read_slot(backend: &dyn Backend, id: SlotId) -> Result<Result<KeySlot, FormatError>> {
    let name = names::slot(id);
    judge(|| {
        // What isn't an object, or is too large to be a slot, is junk like any other: an error that says so is
        // one of damage.
        let bytes = backend.read(&name.to_string(), limits::SLOT_BYTES_MAX)?;
        if SlotId::of(&bytes) != id {
            return Err(EngineError::damaged(name)(FormatError::NotAuthentic { what: "key slot" }));
        }
        KeySlot::decode(&bytes).map_err(EngineError::damaged(name))
    })
}

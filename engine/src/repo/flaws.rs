//! Faults of the protocol that tests plant on purpose, to see that the simulator finds them.
//! A program without the feature `flaws` has none of this.

/// Whether this build of the engine can be told to break a rule. A program's never can.
pub const RULES_CAN_BE_BROKEN: bool = cfg!(feature = "flaws");

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Acks object to nothing.
    AckWithoutObjections,
    /// Taking over from the parent isn't counted as referring to what is below.
    SubtreesNotHeld,
    /// A session commits over a FENCE, and reports success.
    FenceIgnored,
    /// The catalogue isn't read after the commit.
    CatalogueNotRead,
    /// No verdict is applied, so that what verdicts name is assumed to be stored.
    VerdictsNotApplied,
    /// Packs of sessions whose outcome is open are condemned too.
    OpenSessionsCondemned,
    /// The verdict is given without waiting for answers.
    NoWaiting,
    /// The second listing spares nothing.
    NoSecondListing,
    /// What is condemned is removed, whatever the verdict says.
    VerdictIgnored,
}

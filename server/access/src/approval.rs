//! The two-person rule: what can't be undone is asked for by one person, agreed to by another one, and carried out just as
//! it was asked for.

use std::time::Duration;

use crate::moment::Moment;

/// How long a request waits for a second person.
pub const WAITS: Duration = Duration::from_hours(24);

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits for a second person.
    Open,
    /// A second person has agreed.
    Granted,
    /// A second person has refused.
    Denied,
    /// The person who asked doesn't want it any more.
    Withdrawn,
    /// What was asked for has begun.
    Used,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// What is asked for: the action, its object and everything that matters of how, in one text.
    pub subject: &'a str,
    /// The id of the user who asked.
    pub requested_by: &'a str,
    /// The id of the user who agreed.
    pub granted_by: Option<&'a str>,
    /// How far it is.
    pub stage: Stage,
    /// From when on nothing can follow any more.
    pub expires: Moment,
}

/// Who takes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person<'a> {
    /// The id of the user.
    pub id: &'a str,
    /// Whether it is a token of the user and not the user in a session: a program is no second person.
    pub is_token: bool,
    /// Whether the user may do by themselves what is asked for, the two-person rule aside.
    pub may_do_it: bool,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// The yes of a second person.
    Grant,
    /// The no of a second person.
    Deny,
    /// The person who asked takes it back.
    Withdraw,
    /// The person who asked begins with what was asked for, which is this.
    Use {
        /// The action, its object and how.
        subject: &'a str,
    },
}

/// Why a step can't be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is too late.
    #[error("the request has expired: make another one")]
    Expired,
    /// It was decided, withdrawn or used.
    #[error("the request doesn't wait for this any more")]
    Over,
    /// No one has agreed yet.
    #[error("no second person has agreed yet")]
    NotGranted,
    /// The person who asked can't agree.
    #[error("a second person has to decide, not the one who asked")]
    SamePerson,
    /// A program can't decide.
    #[error("a person in a session has to decide, not a token")]
    Token,
    /// The person has no right to what is asked for.
    #[error("only a person who may do this can decide")]
    NoRight,
    /// It belongs to another person.
    #[error("only the person who asked can do this")]
    NotYours,
    /// Something else was agreed to.
    #[error("this isn't what the second person has agreed to")]
    AnotherSubject,
}

impl Request<'_> {
    /// What the request becomes by a step, or why not.
    pub fn step(&self, step: Step<'_>, by: Person<'_>, now: Moment) -> Result<Stage, Refusal> {
        let from_asker = by.id == self.requested_by;
        match self.stage {
            Stage::Open | Stage::Granted => {}
            Stage::Denied | Stage::Withdrawn | Stage::Used => return Err(Refusal::Over),
        }
        if now >= self.expires {
            return Err(Refusal::Expired);
        }
        match step {
            Step::Grant | Step::Deny => {
                if from_asker {
                    return Err(Refusal::SamePerson);
                }
                if by.is_token {
                    return Err(Refusal::Token);
                }
                if !by.may_do_it {
                    return Err(Refusal::NoRight);
                }
                match (step, self.stage) {
                    (Step::Grant, Stage::Open) => Ok(Stage::Granted),
                    // A yes can be taken back until it is used.
                    (Step::Deny, Stage::Open | Stage::Granted) => Ok(Stage::Denied),
                    _ => Err(Refusal::Over),
                }
            }
            Step::Withdraw if from_asker => Ok(Stage::Withdrawn),
            Step::Use { .. } | Step::Withdraw if !from_asker => Err(Refusal::NotYours),
            Step::Withdraw => Ok(Stage::Withdrawn),
            Step::Use { subject } => {
                if self.stage != Stage::Granted {
                    return Err(Refusal::NotGranted);
                }
                if self.granted_by.is_none_or(|granted_by| granted_by == self.requested_by) {
                    return Err(Refusal::SamePerson);
                }
                if subject != self.subject {
                    return Err(Refusal::AnotherSubject);
                }
                if !by.may_do_it {
                    return Err(Refusal::NoRight);
                }
                Ok(Stage::Used)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Person, Refusal, Request, Stage, Step};
    use crate::moment::Moment;

    const ANN: Person<'static> = Person { id: "ann", is_token: false, may_do_it: true };
    const BOB: Person<'static> = Person { id: "bob", ..ANN };
    const NOW: Moment = Moment::from_micros(10);
    const OPEN: Request<'static> = Request {
        subject: "prune main",
        requested_by: "ann",
        granted_by: None,
        stage: Stage::Open,
        expires: Moment::from_micros(20),
    };
    const GRANTED: Request<'static> = Request { granted_by: Some("bob"), stage: Stage::Granted, ..OPEN };
    const USE: Step<'static> = Step::Use { subject: "prune main" };

    #[test]
    fn one_asks_another_agrees_and_just_that_is_done() {
        assert_eq!(OPEN.step(Step::Grant, BOB, NOW), Ok(Stage::Granted));
        assert_eq!(GRANTED.step(USE, ANN, NOW), Ok(Stage::Used));
        assert_eq!(OPEN.step(USE, ANN, NOW), Err(Refusal::NotGranted));
        assert_eq!(
            GRANTED.step(Step::Use { subject: "prune offsite" }, ANN, NOW),
            Err(Refusal::AnotherSubject)
        );
        assert_eq!(GRANTED.step(USE, BOB, NOW), Err(Refusal::NotYours));
    }

    #[test]
    fn the_second_person_is_another_one_a_person_and_may_do_it() {
        for step in [Step::Grant, Step::Deny] {
            assert_eq!(OPEN.step(step, ANN, NOW), Err(Refusal::SamePerson));
            assert_eq!(OPEN.step(step, Person { is_token: true, ..BOB }, NOW), Err(Refusal::Token));
            assert_eq!(OPEN.step(step, Person { may_do_it: false, ..BOB }, NOW), Err(Refusal::NoRight));
        }
        // Whatever is stored: no one's own yes counts, and a right that was lost meanwhile is lost.
        let own = Request { granted_by: Some("ann"), ..GRANTED };
        assert_eq!(own.step(USE, ANN, NOW), Err(Refusal::SamePerson));
        assert_eq!(Request { granted_by: None, ..GRANTED }.step(USE, ANN, NOW), Err(Refusal::SamePerson));
        assert_eq!(GRANTED.step(USE, Person { may_do_it: false, ..ANN }, NOW), Err(Refusal::NoRight));
    }

    #[test]
    fn a_yes_can_be_taken_back_and_a_request_withdrawn_until_it_is_used() {
        assert_eq!(GRANTED.step(Step::Deny, BOB, NOW), Ok(Stage::Denied));
        for request in [OPEN, GRANTED] {
            assert_eq!(request.step(Step::Withdraw, ANN, NOW), Ok(Stage::Withdrawn));
            assert_eq!(request.step(Step::Withdraw, BOB, NOW), Err(Refusal::NotYours));
        }
        assert_eq!(GRANTED.step(Step::Grant, BOB, NOW), Err(Refusal::Over));
    }

    #[test]
    fn nothing_follows_the_end_or_comes_too_late() {
        let steps = [Step::Grant, Step::Deny, Step::Withdraw, USE];
        for stage in [Stage::Denied, Stage::Withdrawn, Stage::Used] {
            for step in steps {
                for by in [ANN, BOB] {
                    assert_eq!(Request { stage, ..GRANTED }.step(step, by, NOW), Err(Refusal::Over));
                }
            }
        }
        for step in steps {
            let late = Moment::from_micros(20);
            assert_eq!(GRANTED.step(step, ANN, late), Err(Refusal::Expired));
        }
    }
}

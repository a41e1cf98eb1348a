//! Hooks.

use std::ffi::OsString;

use keepfast_config::model::hook::{Hook as Defined, Moment, OnError};
use keepfast_operations::child::CommandLine;
use keepfast_operations::hooks::Hook;

/// A hook of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanHook {
    /// When it runs.
    pub moment: Moment,
    /// What runs.
    pub hook: Hook,
    /// What undoes it.
    pub undo: Option<Hook>,
    /// What it means if it fails.
    pub on_error: OnError,
}

/// A hook as it is carried out.
#[must_use]
pub fn hook(defined: &Defined) -> PlanHook {
    let of = |words: &[String]| Hook {
        run: CommandLine::Arguments(words.iter().map(OsString::from).collect()),
        timeout: defined.timeout.0,
    };
    PlanHook {
        moment: defined.on,
        hook: of(&defined.run.0),
        undo: defined.undo.as_ref().map(|undo| of(&undo.value.0)),
        on_error: defined.on_error(),
    }
}

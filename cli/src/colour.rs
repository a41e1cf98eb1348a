//! Whether what people read has colours, and which.

use std::io::IsTerminal;
use std::sync::OnceLock;

use clap::ValueEnum;

/// Whether text has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColourWhen {
    /// On a terminal that has some, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What a colour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// All is well.
    Good,
    /// A person should look.
    Doubtful,
    /// It failed.
    Bad,
}

impl Colour {
    /// The number of the colour in a terminal's set of eight (ECMA-48).
    const fn number(self) -> u8 {
        match self {
            Self::Good => 32,
            Self::Doubtful => 33,
            Self::Bad => 31,
        }
    }
}

/// Where a line goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

static WHEN: OnceLock<ColourWhen> = OnceLock::new();

/// Says what was asked for. Before this, nothing has colours.
pub fn set(when: ColourWhen) {
    // It is said once, before anything is printed.
    let _ = WHEN.set(when);
}

/// Whether what goes there has colours.
pub fn is_on(stream: Stream) -> bool {
    let is_terminal = match stream {
        Stream::Out => std::io::stdout().is_terminal(),
        Stream::Err => std::io::stderr().is_terminal(),
    };
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let when = WHEN.get().copied().unwrap_or(ColourWhen::Never);
    wants(
        when,
        is_terminal,
        variable("NO_COLOR").is_some(),
        variable("TERM").is_some_and(|term| term == "dumb"),
    )
}

fn wants(when: ColourWhen, is_terminal: bool, is_refused: bool, is_dumb: bool) -> bool {
    match when {
        ColourWhen::Always => true,
        ColourWhen::Never => false,
        ColourWhen::Auto => is_terminal && !is_refused && !is_dumb,
    }
}

/// A text that is safe to print, in a colour where there are some.
pub fn paint(stream: Stream, colour: Colour, text: &str) -> String {
    if is_on(stream) { format!("\u{1b}[{}m{text}\u{1b}[0m", colour.number()) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{ColourWhen, wants};

    #[test]
    fn what_is_asked_for_wins_over_what_the_environment_says() {
        assert!(wants(ColourWhen::Always, false, true, true));
        assert!(!wants(ColourWhen::Never, true, false, false));
        assert!(wants(ColourWhen::Auto, true, false, false));
        for (is_terminal, is_refused, is_dumb) in
            [(false, false, false), (true, true, false), (true, false, true)]
        {
            assert!(!wants(ColourWhen::Auto, is_terminal, is_refused, is_dumb));
        }
    }
}

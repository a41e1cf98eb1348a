//! The codes of diagnostics: what each one means, and whether it is an error. Codes are never used again for something
//! else: programs and searches rely on them.

use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration can't be used.
    Error,
    /// It can, and most likely doesn't do what was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A kind of diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// A file can't be read.
    Unreadable,
    /// A file isn't UTF-8.
    NotUtf8,
    /// This is no TOML.
    Syntax,
    /// A file is too large.
    TooLarge,
    /// There are too many files.
    TooManyFiles,
    /// Tables and lists are nested too deeply.
    TooDeep,
    /// An include leads out of the folder of the first file.
    IncludeOutside,
    /// An include names no file.
    IncludeNothing,
    /// Files include each other in a circle.
    IncludeCircle,
    /// The version is missing or unknown.
    Version,
    /// A name is defined twice.
    Twice,
    /// This is no name.
    Name,
    /// Templates inherit each other in a circle.
    TemplateCircle,
    /// Templates inherit each other too deeply.
    TemplatesTooDeep,
    /// There is nothing to unset.
    UnsetNothing,
    /// A variable isn't set.
    NotSet,
    /// This is no substitution.
    Substitution,
    /// A variable can't be used.
    VariableUnusable,
    /// A default begins with a dash.
    DefaultDash,
    /// A key is missing.
    Missing,
    /// There is no such key.
    UnknownKey,
    /// A value is of the wrong kind.
    WrongKind,
    /// A value can't be read.
    Value,
    /// A number is out of range.
    Range,
    /// There is no such choice.
    Choice,
    /// Keys exclude one another.
    Exclusive,
    /// One of several keys is missing.
    NeedsOne,
    /// A secret is written into the file.
    SecretLiteral,
    /// What is named isn't defined.
    UnknownReference,
    /// The server would be open to the network without TLS.
    Listen,
    /// A pattern can't be used.
    Pattern,
    /// A key has no effect here.
    NoEffect,
    /// A managed file says what only files of people may say.
    Managed,
    /// No one hears of a plan.
    NoRoute,
    /// A plan is never proven by a drill.
    NoDrill,
    /// A plan's repository is never checked.
    NoCheck,
    /// Two plans back up the same path.
    SamePath,
    /// A repository is inside of what is backed up.
    RepositoryInSource,
    /// Retention is shorter than the promise.
    RetentionShort,
    /// Retention has no floor.
    NoFloor,
    /// A template is never used.
    UnusedTemplate,
    /// A target is never used.
    UnusedTarget,
    /// A drill would restore over what is backed up.
    DrillIntoLive,
    /// A file with a secret is readable by others.
    SecretReadable,
    /// A plan copies to its own repository.
    CopyToItself,
    /// A route can never match.
    RouteNeverMatches,
    /// An address that is a secret is written into the file.
    AddressIsSecret,
    /// An undo is never needed.
    UndoWithoutBefore,
    /// A promise can't be kept.
    PromiseShort,
    /// A project has nothing.
    UnusedProject,
    /// A lost server couldn't be rebuilt.
    StateNotBackedUp,
}

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// The kind of diagnostic.
    pub code: Code,
    /// The code as it is shown.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is, in a few words.
    pub title: &'static str,
    /// Why, and what to do.
    pub explanation: &'static str,
}

const fn error(code: Code, name: &'static str, title: &'static str, explanation: &'static str) -> Meaning {
    Meaning { code, name, severity: Severity::Error, title, explanation }
}

const fn warning(code: Code, name: &'static str, title: &'static str, explanation: &'static str) -> Meaning {
    Meaning { code, name, severity: Severity::Warning, title, explanation }
}

/// All codes.
pub const CODES: &[Meaning] = &[
    error(
        Code::Unreadable,
        "C001",
        "a file can't be read",
        "The file that was named, or one that an `include` found, is not there or can't be opened. Nothing of the configuration is used.",
    ),
    error(
        Code::NotUtf8,
        "C002",
        "a file isn't UTF-8",
        "TOML is UTF-8. The message says in which line the first byte is that isn't.",
    ),
    error(
        Code::Syntax,
        "C003",
        "this is no TOML",
        "The file can't be read as TOML from here on, so this is the only error that is shown of this file, and names that it may define are not reported as missing. Dates and times are strings in quotation marks.",
    ),
    error(Code::TooLarge, "C004", "a file is too large", "A file of configuration has at most 1 MiB."),
    error(
        Code::TooManyFiles,
        "C005",
        "there are too many files",
        "At most 256 files are read. An `include` most likely finds more than was meant.",
    ),
    error(
        Code::TooDeep,
        "C006",
        "tables and lists are nested too deeply",
        "No key needs more than 16 levels.",
    ),
    error(
        Code::IncludeOutside,
        "C007",
        "an include leads out of the folder of the first file",
        "What `include` names lies in the folder of the first file or below it, so that no file elsewhere becomes configuration by accident. Put a link there if the file has to be elsewhere.",
    ),
    error(
        Code::IncludeNothing,
        "C008",
        "an include names no file",
        "A name without `*` or `?` names a file that has to be there. A pattern may match nothing.",
    ),
    error(
        Code::IncludeCircle,
        "C009",
        "files include each other in a circle",
        "A file is included by a file that it includes itself. Remove one of both.",
    ),
    error(
        Code::Version,
        "C010",
        "the version is missing or unknown",
        "The first file says `version = 1`. A program that is older than the version of a file refuses the file, because it can't know what it would overlook.",
    ),
    error(
        Code::Twice,
        "C011",
        "a name is defined twice",
        "Each plan, repository, template, target, drill and project has one definition. Both places are shown.",
    ),
    error(
        Code::Name,
        "C012",
        "this is no name",
        "A name has letters, digits, `-`, `_` and `.`, begins with a letter or a digit, and has at most 64 characters.",
    ),
    error(
        Code::TemplateCircle,
        "C013",
        "templates inherit each other in a circle",
        "A template inherits itself, by way of others. Remove one `inherits`.",
    ),
    error(
        Code::TemplatesTooDeep,
        "C014",
        "templates inherit each other too deeply",
        "At most four templates stand above one another. More could no longer be understood by a reader.",
    ),
    warning(
        Code::UnsetNothing,
        "C015",
        "there is nothing to unset",
        "`unset` names a key that no template gives. It may be a slip of the pen, or a leftover.",
    ),
    error(
        Code::NotSet,
        "C016",
        "a variable isn't set",
        "`${NAME}` needs a variable of this name in the environment of the program. `${NAME:default}` has a default.",
    ),
    error(
        Code::Substitution,
        "C017",
        "this is no substitution",
        "There are `${NAME}`, `${NAME:default}` and `${NAME:?message}`; `$$` is a dollar sign. Substitution happens once, in values that are strings, after the file was parsed: what a variable holds is never read as TOML and never substituted again.",
    ),
    error(
        Code::VariableUnusable,
        "C018",
        "a variable can't be used",
        "What the variable holds isn't UTF-8, or the string would become longer than 64 KiB.",
    ),
    warning(
        Code::DefaultDash,
        "C019",
        "a default begins with a dash",
        "`${NAME:-x}` is how a shell writes a default. Here the default would be `-x`.",
    ),
    error(
        Code::Missing,
        "C020",
        "a key is missing",
        "The definition can't be used without this key. It may come from a template.",
    ),
    error(
        Code::UnknownKey,
        "C021",
        "there is no such key",
        "The key has no meaning here, so what it was to do wouldn't happen. Its value isn't shown: it may be a secret under a wrong name.",
    ),
    error(
        Code::WrongKind,
        "C022",
        "a value is of the wrong kind",
        "A number, a list or a table was written where another kind is needed.",
    ),
    error(
        Code::Value,
        "C023",
        "a value can't be read",
        "The string isn't what this key takes. The message says what it takes.",
    ),
    error(Code::Range, "C024", "a number is out of range", "The message says which numbers the key takes."),
    error(Code::Choice, "C025", "there is no such choice", "The key takes one of a few words."),
    error(
        Code::Exclusive,
        "C026",
        "keys exclude one another",
        "Only one of these keys may be there. Of keys that come from templates, the later one wins without a word.",
    ),
    error(Code::NeedsOne, "C027", "one of several keys is missing", "One of these keys must be there."),
    error(
        Code::SecretLiteral,
        "C028",
        "a secret is written into the file",
        "Secrets never stand in a file of configuration: copies of it lie in backups, in version control and on screens. Give a reference: `{ file = \"…\" }`, `{ env = \"NAME\" }`, `{ command = [\"…\"] }`, `{ credential = \"…\" }`, `{ fd = 3 }`, `{ vault = \"path#field\" }`, `{ kms = \"…\" }` or `{ keyring = \"…\" }`. A lone `\"${NAME}\"` is `{ env = \"NAME\" }`. Consider the secret known, and change it.",
    ),
    error(
        Code::UnknownReference,
        "C030",
        "what is named isn't defined",
        "A plan, repository, template, target, project or digest is named that no file defines.",
    ),
    error(
        Code::Listen,
        "C031",
        "the server would be open to the network without TLS",
        "A server that listens to more than this machine needs `tls`, or `behind_proxy = true` if a proxy in front of it does that.",
    ),
    error(Code::Pattern, "C032", "a pattern can't be used", "The message says why."),
    warning(
        Code::NoEffect,
        "C033",
        "a key has no effect here",
        "The key goes with another one that isn't here, or with another value of it. What it says doesn't happen.",
    ),
    error(
        Code::Managed,
        "C034",
        "a managed file says what only files of people may say",
        "Files in `managed.d` are written through the API, which must not become a way to run programs or to read the server's environment: they have no hooks, commands, options of programs, caches, variables, includes and no `[server]`. A managed plan can inherit a template that has hooks.",
    ),
    warning(
        Code::NoRoute,
        "C040",
        "no one hears of a plan",
        "No route matches the plan, which has a schedule: its failures are seen only by those that look. Add a `[[route]]`.",
    ),
    warning(
        Code::NoDrill,
        "C041",
        "a plan is never proven by a drill",
        "No drill restores what the plan backs up, which has a schedule. A backup that was never restored is a hope. Told by programs that carry out drills.",
    ),
    warning(
        Code::NoCheck,
        "C042",
        "a plan's repository is never checked",
        "Plans with a schedule back up into the repository, and it has no `check`: damage is found when something is restored.",
    ),
    warning(
        Code::SamePath,
        "C043",
        "two plans back up the same path",
        "Two plans for the same hosts back up the same path. Most likely one of them was copied.",
    ),
    warning(
        Code::RepositoryInSource,
        "C044",
        "a repository is inside of what is backed up",
        "The backup leaves the repository out. But what destroys the files most likely destroys the repository, too. Move it, or exclude it if there is a copy elsewhere.",
    ),
    warning(
        Code::RetentionShort,
        "C045",
        "retention is shorter than the promise",
        "The plan keeps snapshots for a shorter time than may pass between two of them, so that a single failure can leave none. Keep more, or set `at_least`.",
    ),
    warning(
        Code::NoFloor,
        "C046",
        "retention has no floor",
        "Without `at_least`, nothing keeps the last clean snapshots when newer ones are bad or time passes without any.",
    ),
    warning(Code::UnusedTemplate, "C047", "a template is never used", "No plan and no template inherits it."),
    warning(
        Code::UnusedTarget,
        "C048",
        "a target is never used",
        "No route and no digest sends anything to it.",
    ),
    error(
        Code::DrillIntoLive,
        "C049",
        "a drill would restore over what is backed up",
        "The drill's target is a database or a path that a plan backs up. A drill needs a place of its own.",
    ),
    warning(
        Code::SecretReadable,
        "C050",
        "a file with a secret is readable by others",
        "Change its mode to 0600.",
    ),
    error(
        Code::CopyToItself,
        "C051",
        "a plan copies to its own repository",
        "A second copy needs a second repository.",
    ),
    warning(
        Code::RouteNeverMatches,
        "C052",
        "a route can never match",
        "A pattern of the route matches no plan, repository, host or project that is defined.",
    ),
    error(
        Code::AddressIsSecret,
        "C053",
        "an address that is a secret is written into the file",
        "With this preset, everyone that knows the address can use it. Give a reference, as for every secret.",
    ),
    warning(
        Code::UndoWithoutBefore,
        "C054",
        "an undo is never needed",
        "`undo` is for hooks that run before a backup: they are undone in any case, also after a crash.",
    ),
    warning(
        Code::PromiseShort,
        "C055",
        "a promise can't be kept",
        "The plan promises a snapshot more often than its schedule makes one.",
    ),
    warning(Code::UnusedProject, "C056", "a project has nothing", "No plan and no repository belongs to it."),
    warning(
        Code::StateNotBackedUp,
        "C057",
        "a lost server couldn't be rebuilt",
        "Without `backup` in `[server]`, no repository has the state (runs, slots, pauses, problems) and the configuration. If the machine is lost, a server can be rebuilt from such a backup. `backup = false` says that this is as it should be.",
    ),
];

impl Code {
    /// What it means.
    #[must_use]
    pub fn meaning(self) -> &'static Meaning {
        CODES
            .iter()
            .find(|meaning| meaning.code == self)
            .expect("the table has every code: a test goes through them")
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(self) -> Severity {
        self.meaning().severity
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.meaning().name)
    }
}

#[cfg(test)]
mod tests {
    use super::{CODES, Code};

    /// The enumeration and the table have the same order, so that the last one's number says that none is missing.
    #[test]
    fn every_code_has_one_meaning_and_codes_go_up() {
        let numbers: Vec<usize> = CODES.iter().map(|meaning| meaning.code as usize).collect();
        assert_eq!(numbers, (0..=Code::StateNotBackedUp as usize).collect::<Vec<_>>());
        assert!(CODES.windows(2).all(|two| two[0].name < two[1].name));
    }
}

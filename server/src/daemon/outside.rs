//! What a server needs of the program that it is part of: the service manager, a place for its words, and wishes.

/// What the service manager of the system is told.
pub trait Manager: Send + Sync {
    /// The server works.
    fn ready(&self);

    /// The server reads its definitions again; it is ready afterwards.
    fn reloading(&self);

    /// The server ends.
    fn stopping(&self);

    /// The server is alive.
    fn alive(&self);

    /// What the server does, in a sentence.
    fn status(&self, text: &str);
}

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What happens.
    Info,
    /// Someone should look at it.
    Warning,
    /// Something can't be done.
    Error,
}

/// Where the server's own words go.
pub trait Voice: Send + Sync {
    /// A line.
    fn say(&self, level: Level, text: &str);
}

/// What a server is asked for while it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To end: runs are ended in order, and go on after the next start.
    Stop,
    /// To read its definitions again.
    Reload,
    /// To look at once: something was written into the state.
    Look,
}

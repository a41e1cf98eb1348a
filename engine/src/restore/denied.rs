//! Why one entry can't be restored.

use std::borrow::Cow;

use rustix::io::Errno;

/// Why something can't be done in the target.
#[derive(Debug)]
pub enum Denied {
    /// The system says so.
    System(Errno),
    /// This restore does.
    Because(Cow<'static, str>),
}

impl Denied {
    /// A directory isn't replaced by anything else.
    pub const DIRECTORY: Self = Self::Because(Cow::Borrowed("there is a directory in its place"));
    /// What was made or seen is no longer what has the name.
    pub const REPLACED: Self =
        Self::Because(Cow::Borrowed("something else was put in its place while it was restored"));
    /// A directory of this restore has the name already.
    pub const ONE_NAME: Self = Self::Because(Cow::Borrowed(
        "another entry of its directory was restored under this name: the target doesn't distinguish their names, and \
         nothing was overwritten",
    ));
    /// An entry was made in its place after the restore began.
    pub const IN_THE_WAY: Self = Self::Because(Cow::Borrowed("there is something in its place"));

    /// Whether nothing else in the target will work either.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::System(Errno::NOSPC | Errno::DQUOT | Errno::ROFS))
    }

    /// What the system said, or would say.
    pub fn into_io(self) -> std::io::Error {
        match self {
            Self::System(error) => error.into(),
            Self::Because(why) => std::io::Error::other(why),
        }
    }

    /// For a message.
    pub fn why(&self) -> String {
        match self {
            Self::System(error) => std::io::Error::from(*error).to_string(),
            Self::Because(why) => why.to_string(),
        }
    }
}

impl From<Errno> for Denied {
    fn from(error: Errno) -> Self {
        Self::System(error)
    }
}

impl From<Denied> for std::io::Error {
    fn from(denied: Denied) -> Self {
        denied.into_io()
    }
}

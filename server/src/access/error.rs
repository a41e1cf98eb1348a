//! Why something about users, rights or tokens can't be done.

use keepfast_access::approval::Refusal;
use keepfast_access::factor::SecretFault;
use keepfast_access::grant::GrantFault;
use keepfast_access::name::NameFault;
use keepfast_access::password::{HashFault, PasswordFault};
use keepfast_store::{InvalidName, StoreError};

/// Result of this module's functions.
pub type Result<T, E = AccessError> = std::result::Result<T, E>;

/// Why something about users, rights or tokens can't be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The state failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random(#[source] getrandom::Error),
    /// A password can't be hashed or compared.
    #[error(transparent)]
    Hash(#[from] HashFault),
    /// The stored secret of a second factor is none.
    #[error(transparent)]
    Secret(#[from] SecretFault),
    /// The program is about to end.
    #[error("the program is about to end")]
    Stopping,
    /// A name of a user is none.
    #[error("{name:?} can't be the name of a user")]
    UserName {
        /// What was given.
        name: String,
        /// Why.
        source: NameFault,
    },
    /// Another name is none.
    #[error("{name:?} can't be used")]
    Name {
        /// What was given.
        name: String,
        /// Why.
        source: InvalidName,
    },
    /// A password can't be one.
    #[error(transparent)]
    Password(#[from] PasswordFault),
    /// Rights can't be given.
    #[error(transparent)]
    Grant(#[from] GrantFault),
    /// There is no such user.
    #[error("there is no user {name}")]
    NoUser {
        /// What was asked for.
        name: String,
    },
    /// Another user has the name.
    #[error("there is a user {name} already")]
    UserExists {
        /// The name.
        name: String,
    },
    /// There are too many users.
    #[error("there are as many users as there may be")]
    TooManyUsers,
    /// There is a first user already.
    #[error("there are users already: the token for the first one isn't valid any more")]
    NotFirst,
    /// The token for the first user is wrong.
    #[error("this isn't the token for the first user, or it has expired")]
    NoSetupToken,
    /// No one would be left who may do everything.
    #[error(
        "user {name} is the last one who may do everything: give another user the role admin for all first"
    )]
    LastAdmin {
        /// The user.
        name: String,
    },
    /// Someone else was faster.
    #[error("user {name} was changed by someone else meanwhile")]
    Overtaken {
        /// The user.
        name: String,
    },
    /// The user has none of these rights.
    #[error("user {name} has no role {role} for {scope}")]
    NoGrant {
        /// The user.
        name: String,
        /// The role.
        role: &'static str,
        /// The scope.
        scope: String,
    },
    /// A token with this name is there.
    #[error("user {user} has a token {name} already")]
    TokenExists {
        /// The user.
        user: String,
        /// The name.
        name: String,
    },
    /// There are too many tokens.
    #[error("user {user} has as many tokens as a user may have")]
    TooManyTokens {
        /// The user.
        user: String,
    },
    /// There is no such token.
    #[error("there is no token {number}")]
    NoToken {
        /// What was asked for.
        number: i64,
    },
    /// A code is wrong.
    #[error("this isn't the code of this moment: check the clock of the device")]
    WrongCode,
    /// A second factor isn't there, or doesn't wait to be confirmed.
    #[error("user {name} has no second factor that this could be done with")]
    NoFactor {
        /// The user.
        name: String,
    },
    /// The two-person rule refuses a step.
    #[error(transparent)]
    Approval(#[from] Refusal),
}

impl AccessError {
    /// Whether other input would do.
    #[must_use]
    pub fn is_wrong_input(&self) -> bool {
        match self {
            Self::Store(_) | Self::Random(_) | Self::Hash(_) | Self::Secret(_) | Self::Stopping => false,
            Self::UserName { .. }
            | Self::Name { .. }
            | Self::Password(_)
            | Self::Grant(_)
            | Self::NoUser { .. }
            | Self::UserExists { .. }
            | Self::TooManyUsers
            | Self::NotFirst
            | Self::NoSetupToken
            | Self::LastAdmin { .. }
            | Self::Overtaken { .. }
            | Self::NoGrant { .. }
            | Self::TokenExists { .. }
            | Self::TooManyTokens { .. }
            | Self::NoToken { .. }
            | Self::WrongCode
            | Self::NoFactor { .. }
            | Self::Approval(_) => true,
        }
    }

    /// For names of the state.
    pub(super) fn name(name: &str) -> impl FnOnce(InvalidName) -> Self {
        move |source| Self::Name { name: name.to_owned(), source }
    }
}

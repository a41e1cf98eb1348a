//! The flags of commands about users, tokens and the audit.

use std::num::NonZeroI64;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Commands about who may do what.
#[derive(Debug, Subcommand)]
pub enum AccessCommand {
    /// Add, list, change and remove users of the API and the dashboard
    User(UserOptions),
    /// Make, list and take away tokens of the API
    Token(TokenOptions),
    /// Verify and export the audit: who did what
    Audit(AuditOptions),
}

impl AccessCommand {
    /// Whether it is done only for what it prints.
    pub fn only_shows(&self) -> bool {
        match self {
            Self::User(options) => matches!(options.action, UserAction::List),
            // A token that no one sees was made for nothing.
            Self::Token(options) => !matches!(options.action, TokenAction::Revoke { .. }),
            Self::Audit(_) => true,
        }
    }
}

/// Options of `user`.
#[derive(Debug, Args)]
pub struct UserOptions {
    /// What to do.
    #[command(subcommand)]
    pub action: UserAction,
}

/// A role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Sees how everything stands
    Viewer,
    /// Runs, cancels, and restores to other places than the original one
    Operator,
    /// Restores, also to the original place
    Restorer,
    /// Changes definitions of plans
    Editor,
    /// Sees who did what, and no names of files
    Auditor,
    /// Does everything
    Admin,
}

/// Rights: a role, where, and what of files.
#[derive(Debug, Args)]
pub struct Rights {
    /// The role
    #[arg(long, value_name = "ROLE")]
    pub role: RoleName,
    /// Where: all, project:NAME, plan:NAME, repository:NAME, host:NAME or label:KEY=VALUE
    #[arg(long, value_name = "SCOPE", default_value = "all")]
    pub scope: String,
    /// Names of files may be seen there
    #[arg(long)]
    pub see_names: bool,
    /// Contents of files may be read there
    #[arg(long, requires = "see_names")]
    pub read_content: bool,
}

/// What to do with users.
#[derive(Debug, Subcommand)]
pub enum UserAction {
    /// Add a user; the password is asked for
    Add {
        /// The name for signing in
        #[arg(value_name = "NAME")]
        name: String,
        /// The name for people [default: that for signing in]
        #[arg(long, value_name = "TEXT")]
        display: Option<String>,
        /// The rights.
        #[command(flatten)]
        rights: Rights,
        /// Take the password from the first line of this file
        #[arg(long, value_name = "FILE", conflicts_with = "no_password")]
        from_file: Option<PathBuf>,
        /// Without a password: for users that sign in elsewhere, or have tokens only
        #[arg(long)]
        no_password: bool,
    },
    /// List users and their rights
    List,
    /// Let a user do nothing any more, and end the sessions
    Disable {
        /// The user
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Let a user that was disabled go on
    Enable {
        /// The user
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Remove a user, with sessions and tokens
    Remove {
        /// The user
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Give a user another password, and end the sessions
    Password {
        /// The user
        #[arg(value_name = "NAME")]
        name: String,
        /// Take the password from the first line of this file
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
    },
    /// Give a user a role, or take it away
    Role {
        /// The user
        #[arg(value_name = "NAME")]
        name: String,
        /// The rights.
        #[command(flatten)]
        rights: Rights,
        /// Take the role away in this scope
        #[arg(long, conflicts_with_all = ["see_names", "read_content"])]
        remove: bool,
    },
    /// Ask a user for no code any more, after the device was lost
    ResetSecondFactor {
        /// The user
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// End all sessions of a user
    SignOut {
        /// The user
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Options of `token`.
#[derive(Debug, Args)]
pub struct TokenOptions {
    /// What to do.
    #[command(subcommand)]
    pub action: TokenAction,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenAction {
    /// Make a token, and print it this once. It may what both it and its user may
    Make {
        /// Whose it is
        #[arg(value_name = "USER")]
        user: String,
        /// What it is called
        #[arg(value_name = "NAME")]
        name: String,
        /// The rights.
        #[command(flatten)]
        rights: Rights,
        /// From when on it isn't valid: a date, a date and a time of day, or a length of time such as 90d
        #[arg(long, value_name = "WHEN")]
        expires: Option<String>,
    },
    /// List tokens, and when each was used last
    List {
        /// Only of this user
        #[arg(long, value_name = "USER")]
        user: Option<String>,
    },
    /// Take a token away
    Revoke {
        /// Its number, as the list shows it
        #[arg(value_name = "TOKEN")]
        token: NonZeroI64,
    },
}

/// Options of `audit`.
#[derive(Debug, Args)]
pub struct AuditOptions {
    /// What to do.
    #[command(subcommand)]
    pub action: AuditAction,
}

/// What to do with the audit.
#[derive(Debug, Subcommand)]
pub enum AuditAction {
    /// Check that no entry was changed, inserted or removed
    Verify {
        /// A place in the chain that was noted elsewhere, as this command prints it; may be repeated
        #[arg(long = "anchor", value_name = "NUMBER:HASH")]
        anchors: Vec<String>,
        /// Also compare with what the newest backups of this server's state (`backup` in `[server]`) have noted in this
        /// repository of the configuration: at most 100 of them
        #[arg(long, value_name = "NAME")]
        repository: Option<String>,
    },
    /// Print all entries, the oldest first: a JSON document in each line, or CSV
    Export {
        /// As CSV
        #[arg(long)]
        csv: bool,
    },
}

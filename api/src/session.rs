//! Who is signed in.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Makes the first user of a server.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// What the server has printed when it started.
    pub token: String,
    /// The user's name.
    pub user: String,
    /// The user's password.
    #[schema(format = Password)]
    pub password: String,
}

/// Signs a user in.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The user.
    pub user: String,
    /// The password.
    #[schema(format = Password)]
    pub password: String,
    /// A code of the second factor, or one of the recovery codes.
    pub code: Option<String>,
}

/// Who is signed in, and what that user may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// The user.
    pub user: String,
    /// The user's name for people.
    pub display: String,
    /// By what.
    pub by: SignedInBy,
    /// What the user may do, and with what.
    pub grants: Vec<Grant>,
    /// Whether signing in takes a second factor.
    pub has_second_factor: bool,
    /// When it ends, however it is used; null if it doesn't.
    pub expires: Option<Timestamp>,
}

/// How a caller shows who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignedInBy {
    /// By a cookie, which signing in gives.
    Session,
    /// By a token of the API.
    Token,
}

/// A role and what it holds for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    /// The role: `viewer`, `operator`, `restorer`, `editor`, `auditor`, `admin`.
    pub role: String,
    /// What it holds for: `all`, or a project, host, plan, repository or label such as `plan:www`.
    pub scope: String,
    /// Whether names of files may be seen there.
    pub see_names: bool,
    /// Whether contents of files may be read there.
    pub read_content: bool,
    /// What may be done there: `see`, `run`, `restore_elsewhere`, `edit_plans` and others.
    pub rights: Vec<String>,
}

/// Shows again who one is, before something dangerous.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordProof {
    /// A code of the second factor where there is one, else the password.
    #[schema(format = Password)]
    pub secret: String,
}

/// Where someone is who signs in with an account of elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OidcBegin {
    /// The page of the dashboard to be sent to afterwards, as its path and query: `/plans/www`. Anything else leads to the
    /// first page.
    pub back: Option<String>,
}

/// What an issuer of accounts sends a browser back with.
#[derive(Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OidcReturn {
    /// The code, if the issuer knows the person.
    pub code: Option<String>,
    /// What the login began with.
    pub state: Option<String>,
    /// Which issuer it is.
    pub iss: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
}

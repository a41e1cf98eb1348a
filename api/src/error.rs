//! What a server answers to a request that it doesn't carry out (RFC 9457).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Diagnostic;

/// The content type of an [`ErrorAnswer`].
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Why a request isn't carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorAnswer {
    /// Which kind of error it is: `/errors/` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind of error in words.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// The kind of error, for programs; it never changes its meaning.
    pub code: ErrorCode,
    /// What went wrong with this request, and what to do about it.
    pub detail: String,
    /// With `invalid_config`: what is wrong with the definitions; else empty.
    #[serde(default)]
    pub diagnostics: Vec<Diagnostic>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $status:literal, $title:literal;)*) => {
        /// Kinds of errors.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum ErrorCode { $($(#[$doc])* $name,)* }

        impl ErrorCode {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As a document has it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The status of an answer with it.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// In words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// A parameter or a field isn't as it has to be.
    InvalidRequest = "invalid_request", 400, "The request can't be understood";
    /// No one is signed in, or no longer.
    NotSignedIn = "not_signed_in", 401, "Sign in first";
    /// User, password or code is wrong; which one isn't said.
    WrongCredentials = "wrong_credentials", 401, "User, password or code is wrong";
    /// The password is right, and a code of the second factor is needed too.
    SecondFactorNeeded = "second_factor_needed", 401, "A code of the second factor is needed";
    /// The caller has no right to that.
    Forbidden = "forbidden", 403, "Not allowed";
    /// It is dangerous, and the caller's last proof of who they are is too old.
    ProofNeeded = "proof_needed", 403, "Show the password again first";
    /// A page of another site has sent it.
    CrossSite = "cross_site", 403, "Requests that change something have to come from this site";
    /// There is nothing of this name.
    NotFound = "not_found", 404, "Not found";
    /// What is there can't be asked that.
    MethodNotAllowed = "method_not_allowed", 405, "Not possible with this resource";
    /// The content type isn't taken.
    UnsupportedMediaType = "unsupported_media_type", 415, "The content type isn't taken";
    /// The state of the resource doesn't allow it.
    Conflict = "conflict", 409, "Not possible in the present state";
    /// The server has users.
    AlreadySetUp = "already_set_up", 409, "The server is set up";
    /// It has changed since it was read.
    Changed = "changed", 412, "It has changed since it was read";
    /// The body is longer than what is taken.
    TooLarge = "too_large", 413, "The request is too large";
    /// What is asked makes no sense, though its form is right.
    Unprocessable = "unprocessable", 422, "The request can't be carried out";
    /// Definitions that were sent can't be followed; `diagnostics` says why. Nothing was changed.
    InvalidConfig = "invalid_config", 422, "The definitions can't be followed";
    /// The key was used before for something else.
    IdempotencyKeyReused = "idempotency_key_reused", 422, "The Idempotency-Key was used for another request";
    /// Editing needs what the resource was when it was read.
    PreconditionNeeded = "precondition_needed", 428, "If-Match is needed";
    /// More requests than are allowed in this time.
    TooManyRequests = "too_many_requests", 429, "Too many requests";
    /// It took longer than it may.
    TimedOut = "timed_out", 503, "It took too long";
    /// Something that the server needs doesn't answer.
    Unavailable = "unavailable", 503, "Not possible at the moment";
    /// A fault of the server.
    Internal = "internal", 500, "A fault of the server";
}

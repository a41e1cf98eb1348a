//! Why a request isn't carried out, as an answer.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use keepfast_access::approval::Refusal;
use keepfast_api::config::Diagnostic;
use keepfast_api::error::{self, ErrorAnswer, ErrorCode};
use keepfast_engine::EngineError;
use keepfast_engine::error::ChoiceError as NotChosen;
use keepfast_operations::OperationsError;
use keepfast_operations::error::{ChoiceError, with_causes};
use keepfast_server::ServerError;
use keepfast_server::access::{AccessError, SignInRefusal};
use keepfast_server::restores::error::RestoreError;
use keepfast_store::StoreError;

/// Result of a handler.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a request isn't carried out.
#[derive(Debug)]
pub struct Failure {
    code: ErrorCode,
    detail: String,
    retry_after_s: Option<u64>,
    /// What is wrong with definitions that were sent.
    diagnostics: Vec<Diagnostic>,
    /// What the server's own log has to say, and a caller isn't told.
    fault: Option<String>,
}

/// What the server's log has to say about an answer.
#[derive(Debug, Clone)]
pub struct Fault(pub String);

impl Failure {
    /// A failure of this kind.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after_s: None, diagnostics: Vec::new(), fault: None }
    }

    /// There is nothing of this name.
    #[must_use]
    pub fn not_found(what: &str, name: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("There is no {what} {name:?}, or you may not see it."))
    }

    /// Its form is right, and it makes no sense for this reason: a message without a capital letter and a full stop.
    #[must_use]
    pub fn unprocessable(why: &str) -> Self {
        Self::new(ErrorCode::Unprocessable, sentence(why))
    }

    /// A fault that isn't the caller's.
    #[must_use]
    pub fn internal(fault: &(dyn std::error::Error + 'static)) -> Self {
        let detail = "The log of the server says what has happened.";
        Self { fault: Some(with_causes(fault)), ..Self::new(ErrorCode::Internal, detail) }
    }

    /// The same, and a program should wait this long before it tries again.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The same, with what is wrong with definitions.
    #[must_use]
    pub fn diagnostics(mut self, diagnostics: Vec<Diagnostic>) -> Self {
        self.diagnostics = diagnostics;
        self
    }

    /// What happened, for the audit.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Its kind.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }
}

impl Failure {
    /// What a repository doesn't have, or can't do at the moment.
    fn of_repository(error: &ServerError) -> Self {
        let ServerError::Operations(inner) = error else { return Self::internal(error) };
        let code = match inner.engine() {
            Some(
                EngineError::NotInSnapshot { .. }
                | EngineError::Choice(NotChosen::NoSnapshot { .. } | NotChosen::NoneFits { .. }),
            ) => ErrorCode::NotFound,
            // What others have decided meanwhile, or what the server's password may not do there.
            Some(
                EngineError::Protected { .. }
                | EngineError::ForgottenMeanwhile { .. }
                | EngineError::Undecidable { .. }
                | EngineError::Unchangeable { .. }
                | EngineError::PartsRemoved { .. }
                | EngineError::NotAllowed { .. }
                | EngineError::NoRepository { .. }
                | EngineError::HalfMadeRepository { .. }
                | EngineError::Fenced
                | EngineError::NameTaken { .. },
            ) => ErrorCode::Conflict,
            Some(EngineError::Interrupted) => ErrorCode::TimedOut,
            Some(
                EngineError::Backend(_)
                | EngineError::Choice(NotChosen::Unreadable(_))
                | EngineError::WrongPassword { .. }
                | EngineError::SlotRemoved { .. }
                | EngineError::Damaged { .. }
                | EngineError::Missing { .. },
            ) => ErrorCode::Unavailable,
            Some(EngineError::Choice(_)) => ErrorCode::Unprocessable,
            _ if inner.is_wrong_input() => ErrorCode::Unprocessable,
            _ => return Self::internal(error),
        };
        Self::new(code, sentence(&with_causes(error)))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { code, detail, retry_after_s, diagnostics, fault } = self;
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let answer = ErrorAnswer {
            kind: format!("/errors/{}", code.word()),
            title: code.title().to_owned(),
            status: status.as_u16(),
            code,
            detail,
            diagnostics,
        };
        // A document of strings and numbers is always valid JSON.
        let body = serde_json::to_vec(&answer).unwrap_or_default();
        let mut response = (status, body).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(error::CONTENT_TYPE));
        if let Some(seconds) = retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(fault) = fault {
            response.extensions_mut().insert(Fault(fault));
        }
        response
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        let code = match &error {
            ServerError::NoPlan { name, .. } => return Self::not_found("plan", name),
            ServerError::NoDrill { name, .. } => return Self::not_found("drill", name),
            ServerError::NoRepository { name, .. } => return Self::not_found("repository", name),
            ServerError::NoTarget { name, .. } => return Self::not_found("target", name),
            ServerError::NoRun { id } => return Self::not_found("run", id),
            ServerError::NoSnapshot { id, .. } => return Self::not_found("snapshot", id),
            ServerError::Operations(inner) if inner.engine().is_some() => return Self::of_repository(&error),
            ServerError::Operations(OperationsError::Choice(ChoiceError::NotForgotten { .. }))
            | ServerError::Disabled { .. }
            | ServerError::Running { .. }
            | ServerError::DrillRuns { .. }
            | ServerError::NoRetry { .. }
            | ServerError::NotUndeliverable { .. } => ErrorCode::Conflict,
            ServerError::SeveralRuns { .. }
            | ServerError::NoWord { .. }
            | ServerError::Operations(OperationsError::Choice(_))
            | ServerError::Unsupported { .. }
            | ServerError::Name { .. }
            | ServerError::Schedule { .. }
            | ServerError::Notices { .. } => ErrorCode::Unprocessable,
            ServerError::Restore(RestoreError::NotEmpty { .. }) => ErrorCode::Conflict,
            ServerError::Restore(RestoreError::File { .. }) => ErrorCode::Unavailable,
            ServerError::Restore(_) => ErrorCode::Unprocessable,
            ServerError::Operations(inner) if inner.is_wrong_input() => ErrorCode::Unprocessable,
            // A disk that is full, a folder that is read-only: someone has to look at it on the machine.
            ServerError::Managed(_) => ErrorCode::Unavailable,
            _ => return Self::internal(&error),
        };
        Self::new(code, sentence(&with_causes(&error)))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        let code = match &error {
            AccessError::NoUser { name } => return Self::not_found("user", name),
            AccessError::NoToken { number } => return Self::not_found("token", &number.to_string()),
            AccessError::NotFirst => ErrorCode::AlreadySetUp,
            AccessError::NoSetupToken | AccessError::WrongCode => ErrorCode::WrongCredentials,
            AccessError::UserExists { .. }
            | AccessError::TokenExists { .. }
            | AccessError::LastAdmin { .. }
            | AccessError::NoFactor { .. }
            | AccessError::TooManyUsers
            | AccessError::TooManyTokens { .. } => ErrorCode::Conflict,
            AccessError::Overtaken { .. } => ErrorCode::Changed,
            AccessError::Approval(
                Refusal::SamePerson | Refusal::Token | Refusal::NoRight | Refusal::NotYours,
            )
            | AccessError::NoRole { .. } => ErrorCode::Forbidden,
            AccessError::Approval(_) => ErrorCode::Conflict,
            error if error.is_wrong_input() => ErrorCode::Unprocessable,
            _ => return Self::internal(&error),
        };
        Self::new(code, sentence(&with_causes(&error)))
    }
}

impl From<SignInRefusal> for Failure {
    fn from(refusal: SignInRefusal) -> Self {
        match refusal {
            SignInRefusal::Wrong => {
                Self::new(ErrorCode::WrongCredentials, "Something of what you sent is wrong.")
            }
            SignInRefusal::CodeNeeded => {
                let detail = "Send the code that your device shows, or a recovery code, as `code`.";
                Self::new(ErrorCode::SecondFactorNeeded, detail)
            }
            SignInRefusal::Wait(wait) => {
                let seconds = wait.as_secs().saturating_add(1);
                let detail = format!("There were too many attempts. Try again in {seconds} s.");
                Self::new(ErrorCode::TooManyRequests, detail).retry_after_s(seconds)
            }
            SignInRefusal::Busy => {
                Self::new(ErrorCode::Unavailable, "Many people sign in at this moment.").retry_after_s(5)
            }
        }
    }
}

impl From<keepfast_store::InvalidName> for Failure {
    fn from(error: keepfast_store::InvalidName) -> Self {
        Self::unprocessable(&error.to_string())
    }
}

/// A message of a library as a sentence.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).chain(['.']).collect()
}

//! Why someone can't sign in with an account of elsewhere.

/// Why someone can't sign in with an account of elsewhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OidcError {
    /// An address in the definition can't be used.
    #[error("{what} {address:?} can't be used: it has to begin with https://")]
    Address {
        /// Which.
        what: &'static str,
        /// It.
        address: String,
    },
    /// Certificates can't be read.
    #[error("the certificates of the issuer's authorities can't be read")]
    Authorities(#[source] reqwest::Error),
    /// The issuer can't be asked.
    #[error("the issuer {host} can't be asked for {what}")]
    Unreachable {
        /// Its host.
        host: String,
        /// What for.
        what: &'static str,
        /// Why.
        source: reqwest::Error,
    },
    /// The issuer refuses.
    #[error("the issuer {host} answers {status} when it is asked for {what}")]
    Refused {
        /// Its host.
        host: String,
        /// What for.
        what: &'static str,
        /// The status.
        status: u16,
    },
    /// The issuer's answer is none.
    #[error("the answer of the issuer {host} when it is asked for {what} can't be read: {problem}")]
    Answer {
        /// Its host.
        host: String,
        /// What for.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Another issuer answers.
    #[error(
        "the issuer calls itself {found:?}, and is defined as {expected:?}: both have to be the same, letter by letter"
    )]
    AnotherIssuer {
        /// What it calls itself.
        found: String,
        /// What is defined.
        expected: String,
    },
    /// What the browser brought back isn't of this login.
    #[error("this login was begun in another browser, or too long ago: begin again")]
    AnotherLogin,
    /// The person or the issuer has said no.
    #[error("the issuer hasn't signed the person in: {reason}")]
    Denied {
        /// What it says.
        reason: String,
    },
    /// What the issuer knows of the person is of someone else.
    #[error("the issuer's ID token and what it knows of the person are of two different people")]
    AnotherPerson,
    /// The ID token isn't what it should be.
    #[error("the issuer's ID token can't be trusted: {problem}")]
    Token {
        /// What is wrong with it.
        problem: &'static str,
    },
}

//! Mail by SMTP. Each recipient is asked for by itself, so that one which is refused doesn't keep a message from the
//! others.

use std::time::SystemTime;

use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::{Message as Letter, transport::smtp};

use crate::message::{Message, Tone};
use crate::render::{View, for_mail, html, subject, text};
use crate::target::{Security, Smtp};

use super::{Failure, Outcome, Progress, Refusal, Secrets, said, with_causes};

/// Says that no person wrote it: programs that answer for people who are away don't answer it.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// What mail programs put a mark beside.
#[derive(Clone)]
struct Importance(&'static str);

impl Header for Importance {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Importance")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self("normal"))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.to_owned())
    }
}

/// Sends a message to all recipients that don't have it yet.
pub async fn send(
    smtp: &Smtp,
    message: &Message,
    view: &View,
    progress: &Progress,
    secrets: &dyn Secrets,
) -> Result<Outcome, Failure> {
    let from = mailbox(&smtp.from)?;
    let to = smtp.to.iter().map(|to| mailbox(to)).collect::<Result<Vec<_>, _>>()?;
    if to.is_empty() {
        return Err(Failure::refused("the target has no recipients", "Name at least one in its `to`."));
    }
    let letter = letter(&from, &to, message, view)?;
    let waiting = to.into_iter().filter(|to| {
        let address = to.email.to_string();
        !progress.reached.contains(&address) && !progress.refused.contains_key(&address)
    });
    let waiting: Vec<Mailbox> = waiting.collect();
    let password = match &smtp.password {
        Some(password) => Some(secrets.secret(password).await?),
        None => None,
    };
    let conversation =
        Conversation { smtp, from, letter, waiting, password: password.as_ref().map(|word| word.as_str()) };
    match tokio::time::timeout(smtp.timeout, conversation.hold(progress)).await {
        Ok(ended) => ended,
        Err(_) => Err(Failure::later(format!(
            "{}:{} didn't take the message within {} s",
            smtp.host,
            smtp.port,
            smtp.timeout.as_secs()
        ))),
    }
}

fn mailbox(text: &str) -> Result<Mailbox, Failure> {
    text.parse().map_err(|error| {
        Failure::refused(
            format!("{text:?} is no mail address: {error}"),
            "Write addresses as name@example.org, or as Name <name@example.org>.",
        )
    })
}

fn letter(from: &Mailbox, to: &[Mailbox], message: &Message, view: &View) -> Result<Vec<u8>, Failure> {
    let domain = from.email.domain();
    let mut letter = Letter::builder()
        .from(from.clone())
        .subject(subject(view))
        .date(SystemTime::from(message.at))
        .message_id(Some(format!("<{}@{domain}>", message.id)))
        .header(AutoSubmitted);
    for to in to {
        letter = letter.to(to.clone());
    }
    if let Some(thread) = &message.thread {
        // No message has this id. All of a thread name it, and so stand together.
        let id: String =
            thread.chars().map(|sign| if sign.is_ascii_alphanumeric() { sign } else { '-' }).collect();
        let id = format!("<thread-{id}@{domain}>");
        letter = letter.in_reply_to(id.clone()).references(id);
    }
    if message.tone >= Tone::Critical {
        letter = letter.header(Importance("high"));
    }
    let view = for_mail(view);
    let body = MultiPart::alternative_plain_html(text(&view), html(&view));
    let letter = letter.multipart(body).map_err(|error| {
        Failure::refused(
            format!("the message can't be made a mail: {error}"),
            "Check the target's addresses.",
        )
    })?;
    Ok(letter.formatted())
}

/// One message on its way.
struct Conversation<'c> {
    smtp: &'c Smtp,
    from: Mailbox,
    letter: Vec<u8>,
    waiting: Vec<Mailbox>,
    password: Option<&'c str>,
}

impl Conversation<'_> {
    async fn hold(self, progress: &Progress) -> Result<Outcome, Failure> {
        let mut progress = progress.clone();
        if self.waiting.is_empty() {
            return Ok(Outcome::Delivered { answer: String::new(), refused: progress.refused });
        }
        let mut server = self.connect().await?;
        let ended = self.transfer(&mut server, &mut progress).await;
        // The message is there or isn't; how the conversation ends changes nothing.
        server.abort().await;
        ended
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let Smtp { host, port, security, timeout, .. } = self.smtp;
        let hello = ClientId::Domain(self.smtp.hello.clone());
        let tls = match security {
            Security::Plain => None,
            Security::Tls | Security::StartTls => Some(self.tls()?),
        };
        let (at_once, upgrade) = if *security == Security::Tls { (tls, None) } else { (None, tls) };
        let place = (host.as_str(), *port);
        let server = AsyncSmtpConnection::connect_tokio1(place, Some(*timeout), &hello, at_once, None).await;
        let mut server = server.map_err(|error| self.failed("can't be reached", &error))?;
        if let Some(tls) = upgrade {
            if !server.can_starttls() {
                server.abort().await;
                return Err(Failure::refused(
                    format!("{host}:{port} doesn't offer STARTTLS"),
                    "Use the port on which it does (usually 587), or TLS from the start (usually 465). Unprotected \
                     mail has to be asked for by `tls = \"none\"`.",
                ));
            }
            server
                .starttls(tls, &hello)
                .await
                .map_err(|error| self.failed("didn't begin with TLS", &error))?;
        }
        if let Some(user) = &self.smtp.user {
            let password = self.password.unwrap_or_default().to_owned();
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            if server.server_info().get_auth_mechanism(&mechanisms).is_none() {
                server.abort().await;
                return Err(Failure::refused(
                    format!("{host}:{port} takes no user and password on this connection"),
                    "Use STARTTLS or TLS, or remove the user from the target if the server asks for none.",
                ));
            }
            let credentials = Credentials::new(user.clone(), password);
            if let Err(error) = server.auth(&mechanisms, &credentials).await {
                let mut failure = self.failed("doesn't accept the user and password", &error);
                if let Failure::Refused(refusal) = &mut failure {
                    refusal.advice = "Check the target's user, and the password in its secret.".to_owned();
                    refusal.secret_may_be_old = true;
                }
                server.abort().await;
                return Err(failure);
            }
        }
        Ok(server)
    }

    fn tls(&self) -> Result<TlsParameters, Failure> {
        let unusable = |error: smtp::Error| {
            Failure::refused(
                format!("TLS can't be set up for {}: {}", self.smtp.host, with_causes(&error)),
                "Check the host's name, and that the authorities' certificates are PEM.",
            )
        };
        let mut tls = TlsParameters::builder(self.smtp.host.clone());
        for certificate in self.smtp.authorities.iter().flat_map(|pem| certificates(pem)) {
            tls = tls.add_root_certificate(Certificate::from_pem(certificate.as_bytes()).map_err(unusable)?);
        }
        tls.build().map_err(unusable)
    }

    async fn transfer(
        &self,
        server: &mut AsyncSmtpConnection,
        progress: &mut Progress,
    ) -> Result<Outcome, Failure> {
        let mut options = Vec::new();
        let addresses = [&self.from].into_iter().chain(&self.waiting);
        if addresses.into_iter().any(|address| !address.email.to_string().is_ascii()) {
            if !server.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(Failure::refused(
                    format!("{} takes no addresses with such letters", self.smtp.host),
                    "Use addresses in ASCII.",
                ));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        if !self.letter.is_ascii() {
            options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let mail = Mail::new(Some(self.from.email.clone()), options);
        server.command(mail).await.map_err(|error| self.failed("doesn't accept the sender", &error))?;
        let (mut accepted, mut later, mut answer) = (Vec::new(), None, String::new());
        for to in &self.waiting {
            let address = to.email.to_string();
            match server.command(Rcpt::new(to.email.clone(), Vec::new())).await {
                Ok(_) => accepted.push(address),
                Err(error) if error.is_permanent() => {
                    progress.refused.insert(address, said(&with_causes(&error), &[]));
                }
                Err(error) if error.is_transient() => {
                    later = Some(self.failed(&format!("doesn't take mail for {address} now"), &error));
                }
                Err(error) => return Err(self.failed("broke off", &error)),
            }
        }
        if !accepted.is_empty() {
            server.command(Data).await.map_err(|error| self.failed("doesn't take the message", &error))?;
            let sent = server.message(&self.letter).await;
            let sent = sent.map_err(|error| self.failed("doesn't take the message", &error))?;
            let words: Vec<&str> = sent.message().collect();
            answer = said(&format!("{} {}", sent.code(), words.join(" ")), &[]);
            progress.reached.extend(accepted);
        }
        match later {
            Some(Failure::Later { reason, wait }) => {
                Ok(Outcome::Later { reason, wait, progress: std::mem::take(progress) })
            }
            Some(refused) => Err(refused),
            None if progress.reached.is_empty() => {
                let refused = progress.refused.iter().map(|(address, why)| format!("{address}: {why}"));
                Err(Failure::Refused(Refusal {
                    reason: format!("{} takes mail for no recipient: {}", self.smtp.host, refused.collect::<Vec<_>>().join("; ")),
                    advice: "Check the addresses in the target's `to`, and whether this machine may send mail by way of \
                             this server."
                        .to_owned(),
                    secret_may_be_old: false,
                }))
            }
            None => Ok(Outcome::Delivered { answer, refused: std::mem::take(&mut progress.refused) }),
        }
    }

    /// What an error means. Only what the server refuses for good is; a connection that fails may work later.
    fn failed(&self, what: &str, error: &smtp::Error) -> Failure {
        let Smtp { host, port, .. } = self.smtp;
        let secrets: Vec<&str> = self.password.into_iter().collect();
        let reason = format!("{host}:{port} {what}: {}", said(&with_causes(error), &secrets));
        if error.is_permanent() {
            return Failure::refused(
                reason,
                "Read what the server says, and check the target's sender, recipients and user.",
            );
        }
        Failure::later(reason)
    }
}

/// The certificates in a text of several: each is read by itself.
fn certificates(pem: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let parts = pem.split_inclusive(END).filter(|part| part.contains("-----BEGIN CERTIFICATE-----"));
    let parts: Vec<String> = parts.map(|part| format!("{}\n", part.trim())).collect();
    // What is no certificate at all isn't passed over: it is refused where it is read.
    if parts.is_empty() { vec![pem.to_owned()] } else { parts }
}

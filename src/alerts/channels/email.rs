//! E-mail by SMTP: plain text that reads well in a terminal.
//!
//! `Message-ID` is made from the message's id, so that a doubled mail is known as one; what belongs to a group is one thread.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::hex;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    message::{
        Mailbox, SinglePart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters},
        extension::ClientId,
    },
};
use sha2::{Digest, Sha256};

use super::{
    answer::{Answer, Refusal},
    clip::{clip, one_line, wrap},
    page::{Layout, Page, page},
    request::ChannelContext,
};
use crate::{
    alerts::message::{Message, MessageKind},
    events::Severity,
    types::{Secret, labelled},
};

/// Columns of a terminal, as mail has always had them.
const WIDTH: usize = 72;
/// A mail is read on a desk, and may be long.
const LAYOUT: Layout = Layout { full: 20, lines: 200, field: 2000, body: 60_000 };

labelled! {
    /// How the connection to the mail server is kept private.
    pub enum EmailTls {
        /// TLS from the first byte; port 465.
        Implicit = "implicit",
        /// TLS after `STARTTLS`, or nothing; port 587.
        StartTls = "starttls",
        /// Open, for a server on this machine; port 25.
        None = "none",
    }
}

/// Readers of mail, and the server that takes mail for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailSettings {
    /// Name or address of the mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept private.
    pub tls: EmailTls,
    /// Who we are there, and the password.
    pub login: Option<(String, Secret)>,
    /// Who it is from.
    pub from: Mailbox,
    /// Whom it is for, all or none: a server that refuses one of them takes none.
    pub to: Vec<Mailbox>,
    /// The certificate authorities to believe, in PEM, where they are not Mozilla's.
    pub roots_pem: Option<Vec<u8>>,
}

impl EmailTls {
    /// The port that servers have for it.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Implicit => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

/// The mail for a message.
///
/// # Errors
/// When the addresses are none, in words without them.
pub(super) fn render(
    settings: &EmailSettings,
    message: &Message,
    context: &ChannelContext,
) -> Result<lettre::Message, String> {
    // Mail programs show what has the same `Message-ID` once: nothing to be said about repetitions.
    let context = ChannelContext { repetition: None, ..context.clone() };
    let page = page(message, &context, LAYOUT);
    let domain = settings.from.email.domain();
    let thread = message_id("group", &message.group, domain);
    let at = u64::try_from(message.at).map_or(UNIX_EPOCH, |ms| UNIX_EPOCH + Duration::from_millis(ms));
    let mut mail = lettre::Message::builder()
        .from(settings.from.clone())
        .subject(clip(&format!("[{}] {}", one_line(&message.source), page.headline), 200))
        .date(at.min(last_date()))
        .message_id(Some(message_id("message", &message.id, domain)))
        .in_reply_to(thread.clone())
        .references(thread)
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Relaymux-Severity", message.severity.label()));
    for to in &settings.to {
        mail = mail.to(to.clone());
    }
    if message.severity == Severity::P1 && matches!(message.kind, MessageKind::Firing | MessageKind::Reminder)
    {
        mail = mail.raw_header(header("X-Priority", "1")).raw_header(header("Importance", "high"));
    }
    mail.singlepart(SinglePart::plain(text(&page))).map_err(|error| error.to_string())
}

/// The last moment that a mail's date can name: the year 9999.
fn last_date() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(253_402_300_799)
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

fn message_id(what: &str, id: &str, domain: &str) -> String {
    let digest = Sha256::digest(format!("{what} {id}").as_bytes());
    format!("<{}.relaymux@{domain}>", hex::encode(digest.get(..16).unwrap_or_default()))
}

pub(super) fn text(page: &Page) -> String {
    let mut out = wrap(&page.headline, WIDTH, "", "");
    out.push_str("\n\n");
    for note in &page.notes {
        out.push_str(&wrap(note, WIDTH, "! ", "  "));
        out.push_str("\n\n");
    }
    if let Some(body) = &page.body {
        out.push_str(body.trim_end());
        out.push_str("\n\n");
    }
    for link in &page.links {
        out.push_str(&format!("{}:\n  {}\n", link.label, link.url));
    }
    if !page.links.is_empty() {
        out.push('\n');
    }
    for entry in &page.entries {
        if !entry.heading.is_empty() {
            out.push_str(&wrap(&entry.heading, WIDTH, "", "    "));
            out.push('\n');
        }
        for fact in &entry.facts {
            let name = format!("  {:<15}", format!("{}:", fact.name));
            out.push_str(&wrap(&fact.text, WIDTH, &name, "                 "));
            out.push('\n');
        }
        out.push('\n');
    }
    for line in &page.lines {
        out.push_str(&wrap(line, WIDTH, "- ", "  "));
        out.push('\n');
    }
    if let Some(more) = &page.more {
        out.push_str(more);
        out.push('\n');
    }
    // What mail programs know as the end of a text.
    out.push_str(&format!("-- \n{}\n", page.footer));
    out
}

/// The connection to the mail server, made anew for each mail: there are few, and servers close idle ones.
fn transport(
    settings: &EmailSettings,
    timeout: Duration,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let tls = match settings.tls {
        EmailTls::None => Tls::None,
        EmailTls::Implicit => Tls::Wrapper(tls_parameters(settings)?),
        EmailTls::StartTls => Tls::Required(tls_parameters(settings)?),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(settings.host.as_str())
        .port(settings.port)
        .tls(tls)
        .hello_name(ClientId::Domain(settings.from.email.domain().to_owned()))
        .timeout(Some(timeout));
    if let Some((user, password)) = &settings.login {
        builder = builder.credentials(Credentials::new(user.clone(), password.0.clone()));
    }
    Ok(builder.build())
}

pub(super) fn tls_parameters(settings: &EmailSettings) -> Result<TlsParameters, String> {
    let mut tls = TlsParameters::builder(settings.host.clone()).certificate_store(CertificateStore::None);
    match &settings.roots_pem {
        Some(pem) => {
            let certificate = Certificate::from_pem(pem).map_err(|error| error.to_string())?;
            tls = tls.add_root_certificate(certificate);
        }
        None => {
            for der in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
                let certificate = Certificate::from_der(der.to_vec()).map_err(|error| error.to_string())?;
                tls = tls.add_root_certificate(certificate);
            }
        }
    }
    tls.build_rustls().map_err(|error| error.to_string())
}

/// How sending a mail went.
pub(in crate::alerts) enum Sent {
    /// The server answered.
    Answered(Answer),
    /// No connection: nothing left this machine.
    NotConnected(String),
    /// The connection broke, or the server was silent.
    Unanswered(String),
}

/// Sends a mail.
pub(in crate::alerts) async fn send(
    settings: &EmailSettings,
    mail: lettre::Message,
    timeout: Duration,
) -> Sent {
    let transport = match transport(settings, timeout) {
        Ok(transport) => transport,
        Err(message) => {
            let refusal = Refusal::DeadChannel;
            return Sent::Answered(Answer::Never {
                refusal,
                message: format!("cannot set up TLS: {message}"),
            });
        }
    };
    match transport.send(mail).await {
        Ok(_) => Sent::Answered(Answer::Taken),
        Err(error) => understand(settings, &error),
    }
}

fn understand(settings: &EmailSettings, error: &lettre::transport::smtp::Error) -> Sent {
    let status = error.status().map(u16::from);
    let message = words(settings, error);
    match status {
        Some(status) => Sent::Answered(classify(status, message)),
        // What the library did not get to say to the server.
        None if error.is_client() || error.is_tls() => Sent::NotConnected(message),
        None => Sent::Unanswered(message),
    }
}

/// What went wrong, without addresses: servers repeat whom they refuse.
fn words(settings: &EmailSettings, error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        // Most errors of the library say their cause themselves.
        let cause_in_words = cause.to_string();
        if !text.contains(&cause_in_words) {
            text = format!("{text}: {cause_in_words}");
        }
        source = cause.source();
    }
    let mut text = one_line(&text);
    let addresses = settings.to.iter().chain([&settings.from]).map(|mailbox| mailbox.email.to_string());
    for address in addresses {
        text = text.replace(&address, "(address)");
    }
    if let Some((user, password)) = &settings.login {
        for secret in [&password.0, user] {
            if !secret.is_empty() {
                text = text.replace(secret.as_str(), "(secret)");
            }
        }
    }
    clip(&text, 200).into_owned()
}

/// What follows from a reply code of SMTP (RFC 5321): 4yz are passing; of 5yz, those about who we are mean the channel.
pub(super) fn classify(status: u16, message: String) -> Answer {
    match status {
        200..=399 => Answer::Taken,
        400..=499 => Answer::RetryLater { after: None, message },
        // 530, 534, 535, 538: authentication. 550 and 551: nobody of that name. 553: no such name.
        521 | 530 | 534 | 535 | 538 | 550 | 551 | 553 | 556 => {
            Answer::Never { refusal: Refusal::DeadChannel, message }
        }
        _ => Answer::Never { refusal: Refusal::BadMessage, message },
    }
}

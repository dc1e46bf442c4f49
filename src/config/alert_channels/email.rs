//! Channels of kind `email`: the mail server, how it is spoken to, and whom mails are for.

use lettre::message::Mailbox;

use super::{
    super::{
        checker::Checker,
        secrets::{Place, Way, secret, way_to},
    },
    Reading,
};
use crate::{
    alerts::channels::{ChannelSettings, EmailSettings, EmailTls},
    types::Secret,
};

/// Most receivers of one mail.
const MAX_RECEIVERS: usize = 50;

impl Reading<'_> {
    /// A channel of kind `email`.
    pub(super) fn email(mut self) -> Option<ChannelSettings> {
        let raw = self.raw;
        let host = self.mail_host();
        let tls = self.mail_tls(host.as_deref());
        let login = self.login(tls);
        let mailbox = |key: String, text: &str, checker: &mut Checker| {
            let parsed = text.parse::<Mailbox>();
            parsed
                .map_err(|_| {
                    checker.wrong(&key, "is no mail address", "such as \"relaymux <relaymux@example.org>\"")
                })
                .ok()
        };
        let from = match &raw.from {
            Some(from) => mailbox(format!("{}.from", self.section), from, self.checker),
            None => {
                self.wrong(
                    "from",
                    "is missing: mails need a sender",
                    "such as from = \"relaymux@example.org\"",
                );
                None
            }
        };
        let receivers = raw.to.as_deref().unwrap_or_default();
        if receivers.is_empty() || receivers.len() > MAX_RECEIVERS {
            let message = if receivers.is_empty() {
                "is missing: nobody would get the mail"
            } else {
                "has more than 50"
            };
            self.wrong("to", message, "such as to = [\"ops@example.org\"]");
        }
        let mut to = Vec::new();
        for (index, text) in receivers.iter().enumerate() {
            to.push(mailbox(format!("{}.to[{index}]", self.section), text, self.checker));
        }
        let roots_pem = match &raw.roots_file {
            None => None,
            Some(file) => Some(self.roots(file)?),
        };
        let tls = tls?;
        let to: Vec<_> = to.into_iter().collect::<Option<_>>()?;
        if raw.port == Some(0) {
            self.wrong("port", "0 is no port", &format!("{} for tls = \"{tls}\"", tls.default_port()));
        }
        let settings = EmailSettings {
            host: host?,
            port: raw.port.unwrap_or_else(|| tls.default_port()),
            tls,
            login: login?,
            from: from?,
            to,
            roots_pem,
        };
        (!settings.to.is_empty()).then(|| ChannelSettings::Email(Box::new(settings)))
    }

    fn mail_host(&mut self) -> Option<String> {
        let hint = "the name of the mail server alone, such as host = \"smtp.example.org\"";
        let Some(host) = &self.raw.host else {
            self.wrong("host", "is missing: mails are given to a mail server", hint);
            return None;
        };
        let is_host = !host.is_empty()
            && host.len() <= 253
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
            && (!host.contains(':') || host.parse::<std::net::Ipv6Addr>().is_ok());
        if !is_host {
            self.wrong("host", "is no name or address of a host", hint);
        }
        is_host.then(|| host.clone())
    }

    fn mail_tls(&mut self, host: Option<&str>) -> Option<EmailTls> {
        let names = EmailTls::ALL.map(EmailTls::label);
        let tls = match self.raw.tls.as_deref() {
            None => Some(EmailTls::StartTls),
            Some(text) => {
                let found = EmailTls::parse(text);
                if found.is_none() {
                    let hint = "starttls: port 587; implicit: port 465; none: for a server on this machine";
                    self.wrong("tls", &format!("`{text}` is not one of {}", names.join(", ")), hint);
                }
                found
            }
        };
        let leaves = host.is_some_and(|host| way_to(host) != Way::Loopback);
        if tls == Some(EmailTls::None) && leaves {
            self.wrong(
                "tls",
                "none, and the server is not this machine: everybody on the way reads the mails",
                "write \"starttls\" or \"implicit\"; a server with certificates of your own needs roots_file",
            );
            return None;
        }
        tls
    }

    /// `None`: it is wrong. `Some(None)`: the server asks nobody.
    fn login(&mut self, tls: Option<EmailTls>) -> Option<Option<(String, Secret)>> {
        let raw = self.raw;
        let place = Place {
            section: self.section,
            key: "password",
            text: raw.password.as_ref(),
            file: raw.password_file.as_ref(),
        };
        match (&raw.username, place.is_there()) {
            (None, false) => Some(None),
            (None, true) => {
                self.wrong("username", "is missing, and there is a password", "whose password it is");
                None
            }
            (Some(_), false) => {
                place.missing("username has one", self.checker);
                None
            }
            (Some(user), true) => {
                let password = secret(place, self.folder, self.checker)?;
                if tls == Some(EmailTls::None) {
                    self.checker.warn(format!(
                        "{}: the password is sent without TLS; nobody but programs on this machine sees it",
                        self.section
                    ));
                }
                Some(Some((user.clone(), password)))
            }
        }
    }

    fn roots(&mut self, file: &str) -> Option<Vec<u8>> {
        let key = format!("{}.roots_file", self.section);
        let path = self.folder.join(file);
        let text = self.checker.include(&key, path.clone())?;
        if text.matches("-----BEGIN CERTIFICATE-----").count() == 1 {
            self.checker.certificates.push(path);
            return Some(text.into_bytes());
        }
        self.checker.wrong(
            &key,
            format!("{}: expected one certificate in PEM", path.display()),
            "the certificate of the authority that signed the mail server's",
        );
        None
    }
}

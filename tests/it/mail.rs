//! E-mail through a real mail server: Exim, started anew for each connection as inetd would, with certificates of a private authority.
//! `scripts/test` unpacks it and names what starts it.

use std::{
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::Path,
    process::{Command, Stdio},
};

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, date_time_ymd};
use relaymux::{consensus::Encoding, sim::PayloadFault};
use tokio::net::TcpListener;

use crate::stage::{Stage, binary, eventually, honest, stage};

const PASSWORD: &str = "k3y of the mail box";

/// How the server is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tls {
    /// `STARTTLS` is offered.
    Offered,
    /// From the first byte.
    Implicit,
    /// It has none.
    Missing,
}

/// A private authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key, both in PEM.
    fn certify(&self, name: &str, last_year: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A mail server. Every connection has a process of its own.
struct MailServer {
    port: u16,
    folder: tempfile::TempDir,
}

impl MailServer {
    async fn start(tls: Tls, (certificate, key): &(String, String)) -> Self {
        let exim = std::env::var_os("RELAYMUX_EXIM").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        // It runs as nobody where the tests are root.
        let open = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap()
        };
        open(folder.path(), 0o777);
        for name in ["spool", "log"] {
            std::fs::create_dir(path(name)).unwrap();
            open(&path(name), 0o777);
        }
        std::fs::write(path("cert.pem"), certificate).unwrap();
        std::fs::write(path("key.pem"), key).unwrap();
        let here = folder.path().display();
        let offered = if tls == Tls::Missing { "" } else { "*" };
        // What it takes stays in its queue, where the test finds it.
        let config = format!(
            "spool_directory = {here}/spool\nlog_file_path = {here}/log/%slog\nprimary_hostname = mail.example\nkeep_environment =\n\
             queue_only = true\ntls_advertise_hosts = {offered}\ntls_certificate = {here}/cert.pem\ntls_privatekey = {here}/key.pem\n\
             acl_smtp_mail = mail\nacl_smtp_rcpt = rcpt\nacl_smtp_data = data\n\
             begin acl\n\
             mail:\n  accept authenticated = *\n  deny message = authentication required\n\
             rcpt:\n  deny recipients = nobody@example.org\n    message = there is no nobody@example.org here\n  accept\n\
             data:\n  warn condition = ${{if exists{{{here}/die}}}}\n    set acl_m0 = ${{run{{/bin/kill -9 $pid}}}}\n  accept\n\
             begin authenticators\n\
             plain:\n  driver = plaintext\n  public_name = PLAIN\n  server_set_id = $auth2\n  \
             server_condition = ${{if and{{{{eq{{$auth2}}{{relaymux}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}\n  \
             server_advertise_condition = ${{if def:tls_in_cipher}}\n"
        );
        std::fs::write(path("exim.conf"), config).unwrap();
        for name in ["cert.pem", "key.pem", "exim.conf"] {
            open(&path(name), 0o644);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let conf = path("exim.conf");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let stream = stream.into_std().unwrap();
                stream.set_nonblocking(false).unwrap();
                let (exim, conf) = (exim.clone(), conf.clone());
                // A thread that waits for the process; it ends when the connection does.
                std::thread::spawn(move || {
                    let mut command = Command::new(exim);
                    command.arg("-C").arg(conf).arg("-bs");
                    if tls == Tls::Implicit {
                        command.arg("-tls-on-connect");
                    }
                    let (input, output) = (stream.try_clone().unwrap(), stream);
                    let _ = command
                        .stdin(Stdio::from(OwnedFd::from(input)))
                        .stdout(Stdio::from(OwnedFd::from(output)))
                        .stderr(Stdio::null())
                        .status();
                });
            }
        });
        Self { port, folder }
    }

    /// What is in its queue: heads and texts, in lines that are not folded.
    fn taken(&self) -> Vec<String> {
        let Ok(queue) = std::fs::read_dir(self.folder.path().join("spool/input")) else { return Vec::new() };
        let paths = queue.map(|entry| entry.unwrap().path().display().to_string());
        // A mail without a head was never answered for.
        let whole = paths.filter_map(|path| path.strip_suffix("-H").map(str::to_owned)).map(|path| {
            let read = |suffix| {
                String::from_utf8_lossy(&std::fs::read(format!("{path}{suffix}")).unwrap()).into_owned()
            };
            format!("{}{}", read("-H"), read("-D")).replace("\n ", " ").replace("\n\t", " ")
        });
        whole.collect()
    }

    fn die_in_the_middle(&self, dies: bool) {
        let file = self.folder.path().join("die");
        if dies {
            std::fs::write(file, "").unwrap();
        } else {
            std::fs::remove_file(file).unwrap();
        }
    }

    fn log(&self) -> String {
        let log =
            |name| std::fs::read_to_string(self.folder.path().join("log").join(name)).unwrap_or_default();
        format!("{}{}{}", log("mainlog"), log("rejectlog"), log("paniclog"))
    }
}

fn channel(server: &MailServer, keys: &str) -> String {
    format!(
        "[alerts]\ngroup_wait = \"1s\"\n[[alerts.channels]]\nid = \"mail\"\nkind = \"email\"\nhost = \"localhost\"\nport = {}\n\
         from = \"relaymux@example.org\"\nusername = \"relaymux\"\n{keys}\n\
         [[alerts.escalation]]\nseverity = \"P1\"\nrespond_within = \"1h\"\ncontacts = [\"mail\"]\n",
        server.port
    )
}

fn keys(roots: Option<&str>, password: &str, tls: Tls, to: &str) -> String {
    let tls = if tls == Tls::Implicit { "implicit" } else { "starttls" };
    let roots = roots.map(|file| format!("roots_file = \"{file}\"\n")).unwrap_or_default();
    format!("tls = \"{tls}\"\npassword = \"{password}\"\n{roots}to = [{to}]")
}

/// `relaymux alert test` by a configuration: whether it was taken, and what was said.
async fn alert_test(folder: &Path, alerts: &str) -> (bool, String) {
    let text = std::fs::read_to_string(folder.join("relays.toml")).unwrap();
    std::fs::write(folder.join("mail.toml"), format!("{text}\n{alerts}")).unwrap();
    let mut command = binary();
    command.current_dir(folder).args(["alert", "test", "--severity", "P1", "--config", "mail.toml"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code() == Some(0), said)
}

/// [N10] Every way in which a mail server's TLS, login or receivers may be wrong, and those that are right. No message shows the password.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Exim: RELAYMUX_EXIM=/usr/sbin/exim4"]
async fn a_real_mail_server_takes_mails_or_says_why_not() {
    let (ours, other) = (Authority::new(), Authority::new());
    let stage: Stage =
        stage().relay(honest()).file("ours.pem", &ours.pem()).file("other.pem", &other.pem()).start().await;
    let folder = stage.folder.path();
    let good = ours.certify("localhost", 2090);
    let ops = "\"ops@example.org\"";
    let with_nobody = "\"ops@example.org\", \"nobody@example.org\"";
    for (name, tls, certificate, roots, password, to, want) in [
        ("STARTTLS", Tls::Offered, &good, Some("ours.pem"), PASSWORD, ops, None),
        ("implicit TLS", Tls::Implicit, &good, Some("ours.pem"), PASSWORD, ops, None),
        ("a wrong password", Tls::Offered, &good, Some("ours.pem"), "k3y that is wrong", ops, Some("535")),
        (
            "one receiver is refused",
            Tls::Offered,
            &good,
            Some("ours.pem"),
            PASSWORD,
            with_nobody,
            Some("550"),
        ),
        ("another authority", Tls::Offered, &good, Some("other.pem"), PASSWORD, ops, Some("certificate")),
        (
            "another authority, implicit",
            Tls::Implicit,
            &good,
            Some("other.pem"),
            PASSWORD,
            ops,
            Some("certificate"),
        ),
        ("an authority that nobody knows", Tls::Offered, &good, None, PASSWORD, ops, Some("certificate")),
        (
            "an expired certificate",
            Tls::Offered,
            &ours.certify("localhost", 2024),
            Some("ours.pem"),
            PASSWORD,
            ops,
            Some("xpired"),
        ),
        (
            "a certificate of another name",
            Tls::Implicit,
            &ours.certify("mail.elsewhere", 2090),
            Some("ours.pem"),
            PASSWORD,
            ops,
            Some("certificate"),
        ),
        ("no TLS at all", Tls::Missing, &good, Some("ours.pem"), PASSWORD, ops, Some("TLS")),
    ] {
        let server = MailServer::start(tls, certificate).await;
        let alerts = channel(&server, &keys(roots, password, tls, to));
        let (is_taken, said) = alert_test(folder, &alerts).await;
        assert!(!said.contains(password) && !said.contains("nobody@example.org"), "{name}: {said}");
        let taken = server.taken();
        match want {
            None => {
                assert!(is_taken, "{name}: {said}\n{}", server.log());
                assert_eq!(taken.len(), 1, "{name}");
                for part in ["This is a test", "-auth_id relaymux", "-tls_cipher TLS1.3"] {
                    assert!(taken[0].contains(part), "{name}: {part} is missing: {}", taken[0]);
                }
            }
            Some(words) => {
                assert!(!is_taken && said.contains(words), "{name}: {said}\n{}", server.log());
                assert_eq!(taken.len(), 0, "{name}: all or none");
            }
        }
    }
}

/// [N10] A server that dies after the text and before its answer may have the mail or not: it is sent again with the same `Message-ID`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Exim: RELAYMUX_EXIM=/usr/sbin/exim4"]
async fn a_real_mail_server_that_dies_in_the_middle_gets_the_mail_again() {
    let ours = Authority::new();
    let server = MailServer::start(Tls::Offered, &ours.certify("localhost", 2090)).await;
    server.die_in_the_middle(true);
    let stage = stage()
        .relay(honest().payload(PayloadFault::Withholds))
        .file("ours.pem", &ours.pem())
        .section(&channel(&server, &keys(Some("ours.pem"), PASSWORD, Tls::Offered, "\"ops@example.org\"")))
        .start()
        .await;
    assert_ne!(stage.reveal(2, Encoding::Ssz).await.0, 202);
    let told = eventually("the mail to be tried", async || {
        let told = stage.ops_json("/api/v1/alerts/notifications").await.to_string();
        (told.contains("\"attempts\":1") || told.contains("\"attempts\":2")).then_some(told)
    })
    .await;
    assert!(!told.contains("\"sent\""), "{told}");
    assert_eq!(server.taken(), Vec::<String>::new());
    server.die_in_the_middle(false);
    let taken =
        eventually("the mail to be taken", async || Some(server.taken()).filter(|taken| !taken.is_empty()))
            .await;
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert!(taken[0].contains("No relay published a signed block"), "{}", taken[0]);
    assert!(taken[0].to_lowercase().contains("message-id: <"), "{}", taken[0]);
}

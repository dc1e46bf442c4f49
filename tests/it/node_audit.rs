//! `relaymux nodes audit`, `secrets jwt` and `firewall plan`: what they print, and how they end. What they find is told apart beside their code, and
//! the firewall's rules meet a kernel in `tests/firewall`.

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Output, Stdio},
};

use serde_json::Value;

use crate::stage::binary;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(args: &[&str]) -> Output {
    binary().current_dir(repository()).args(args).output().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_plan_with_mistakes_ends_with_1_and_each_has_its_place() {
    let output = run(&["nodes", "audit", "fixtures/roadmap/roadmap.md"]);
    assert_eq!(output.status.code(), Some(1));
    let text = words(&output);
    assert!(text.contains("critical  fixtures/roadmap/roadmap.md:37  crontab-replaced"), "{text}");
    assert!(text.contains("Instead: Write a file in /etc/cron.d"), "{text}");
    assert!(!text.contains('\u{1b}'), "colours are for terminals");
    let last = text.lines().last().unwrap();
    assert!(last.contains(" findings: 2 critical, ") && last.ends_with("in 1 file"), "{last}");

    let output = run(&["nodes", "audit", "--json", "fixtures/roadmap/roadmap.md", "docs/examples/nodes.md"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &json["ok"]), (Some(1), &Value::Bool(false)));
    assert_eq!(json["files"][0]["findings"][0]["rule"], "crontab-replaced");
    assert_eq!(json["files"][1]["findings"], serde_json::json!([]));

    let output = run(&["nodes", "audit", "docs/examples/nodes.md"]);
    assert_eq!((output.status.code(), words(&output).as_str()), (Some(0), "nothing found in 1 file\n"));
}

#[test]
fn standard_input_is_read_and_what_runs_is_scored() {
    let give = |args: &[&str], input: &str| {
        let mut child = binary()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = give(&["nodes", "audit", "-"], "docker run --privileged x:v1");
    assert!(words(&output).contains("-:1  privileged"), "{output:?}");
    let json = r#"[{"Name":"/geth","Config":{"Image":"geth:v1"},"HostConfig":{"Privileged":true}}]"#;
    let output = give(&["nodes", "audit", "--inspect", "-"], json);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("of 100"), "{output:?}");
    let output = give(&["nodes", "audit", "--inspect", "-", "--json"], json);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((told["containers"][0]["name"].as_str(), told["ok"].as_bool()), (Some("geth"), Some(false)));
    for (args, input) in [(vec!["--inspect", "-"], "nonsense"), (vec!["no/such/file"], "")] {
        let args: Vec<&str> = ["nodes", "audit"].into_iter().chain(args).collect();
        let output = give(&args, input);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn without_an_engine_there_is_a_sentence_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let ask = |host: Option<&str>, config: &str| {
        std::fs::write(folder.path().join("relays.toml"), config).unwrap();
        let mut command = binary();
        command.current_dir(folder.path()).env_remove("DOCKER_HOST").args(["nodes", "audit"]);
        let output = command.envs(host.map(|host| ("DOCKER_HOST", host))).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{output:?}");
        said
    };
    let address = format!("unix://{}", socket.display());
    // By the environment, by the configuration, and both: Docker's own variable counts first.
    let relay = "[[relays]]\nid = \"a\"\nurl = \"https://0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae@a.example\"\n";
    let file = format!("{relay}[resources]\ndocker_host = \"{address}\"\n");
    for said in [ask(Some(&address), ""), ask(None, &file), ask(Some(&address), "neither = \"read\"")] {
        assert!(
            said.contains(&format!(
                "The Docker engine at {address} does not answer: there is no such socket."
            )),
            "{said}"
        );
        assert!(
            said.contains("Is Docker installed and running")
                && said.contains("docker inspect $(docker ps -q) | relaymux nodes audit --inspect -"),
            "{said}"
        );
    }
    // What is no address is named without a word of what may be secret in it.
    for host in ["ssh://me:pass@box", "tcp://me:pass@box:2375"] {
        let said = ask(Some(host), "");
        assert!(said.contains("DOCKER_HOST is neither a socket") && !said.contains("pass"), "{said}");
    }
    let said = ask(None, "nothing = 1\n");
    assert!(said.contains("nothing"), "{said}");
}

#[test]
fn a_secret_is_made_once_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let path = folder.path().join("geth.jwt");
    let jwt = |more: &[&str]| run(&[&["secrets", "jwt", path.to_str().unwrap()], more].concat());
    let missing = jwt(&["--check"]);
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
    let made = jwt(&[]);
    assert!(made.status.success(), "{made:?}");
    let secret = std::fs::read_to_string(&path).unwrap().trim().to_owned();
    let again = jwt(&[]);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    let checked = jwt(&["--check", "--json"]);
    assert!(checked.status.success(), "{checked:?}");
    let plan = jwt(&["--rotate", "--execution", "el", "--consensus", "cl"]);
    assert!(plan.status.success() && words(&plan).contains("docker stop --time 300 el"), "{plan:?}");
    let next = std::fs::read_to_string(folder.path().join("geth.jwt.new")).unwrap().trim().to_owned();
    assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), secret);
    for output in [made, again, checked, plan] {
        let said = words(&output) + &String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains(&secret) && !said.contains(&next));
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = jwt(&["--check"]);
    assert!(open.status.code() == Some(1) && words(&open).contains("chmod 600"), "{open:?}");
    let odd = jwt(&["--rotate", "--execution", "el; reboot"]);
    assert_eq!(odd.status.code(), Some(2), "{odd:?}");
}

#[test]
fn a_firewall_is_planned_from_its_section_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relays.toml");
    let relay = "[[relays]]\nid = \"a\"\nurl = \"https://0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae@a.example\"\n";
    let plan = |section: &str, more: &[&str]| {
        std::fs::write(&path, format!("{relay}{section}")).unwrap();
        run(&[&["firewall", "plan", "--config", path.to_str().unwrap()], more].concat())
    };
    let none = plan("", &[]);
    assert_eq!(none.status.code(), Some(2), "{none:?}");
    assert!(String::from_utf8_lossy(&none.stderr).contains("there is no [firewall]"), "{none:?}");
    let wrong = plan("[firewall]\nssh_ports = [8545]\n", &[]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    let sound = plan("[firewall]\nallow_from = [\"10.1.0.0/16\"]\n", &["--ruleset"]);
    let text = words(&sound);
    assert!(sound.status.success() && text.contains("elements = { 10.1.0.0/16 }"), "{sound:?}");
    let json = plan("[firewall]\n", &["--json"]);
    let told: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(told["table"], "inet relaymux");
}

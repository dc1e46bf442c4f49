//! The engine of these tests.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, OnceLock},
    time::Duration,
};

use relaymux::supervisor::runtime::docker::DockerRuntime;

/// The image of the stand-in.
pub(crate) const IMAGE: &str = "relaymux-stand-in:1";

/// A `dockerd` of our own. Never dropped: its namespace ends it.
pub(crate) struct Engine {
    folder: PathBuf,
    child: Mutex<Child>,
}

/// The folder that `scripts/docker/run` has prepared.
pub(crate) fn prepared() -> PathBuf {
    std::env::var_os("RELAYMUX_DOCKER").expect("run by scripts/docker/run").into()
}

/// The engine, started by whoever asks first, with the image in it.
pub(crate) async fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        let folder = prepared().join("engine");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let child = Mutex::new(spawn(&folder));
        Engine { folder, child }
    });
    engine.until_it_answers().await;
    if !engine.docker(&["image", "inspect", IMAGE]).status.success() {
        let tar = engine.folder.join("image.tar");
        let image = prepared().join("image");
        let packed = Command::new("tar").arg("-C").arg(image).arg("-cf").arg(&tar).arg("stand_in").status();
        assert!(packed.unwrap().success());
        let change = "ENTRYPOINT [\"/stand_in\"]";
        engine.says(&["import", "--change", change, tar.to_str().unwrap(), IMAGE]);
    }
    engine
}

fn spawn(folder: &std::path::Path) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("dockerd.log")).unwrap();
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    Command::new("dockerd")
        .args(["--host", &format!("unix://{}", at("docker.sock"))])
        .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
        .args(["--cgroup-parent", "/relaymux-docker-tests", "--exec-opt", "native.cgroupdriver=cgroupfs"])
        // So that a restart of the engine is no restart of its containers, as on machines that are looked after.
        .arg("--live-restore")
        .env_remove("DOCKER_HOST")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Engine {
    /// Its address, as in `DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.folder.join("docker.sock").display())
    }

    /// A runtime on it.
    pub(crate) fn runtime(&self) -> DockerRuntime {
        DockerRuntime::new(Some(self.host()))
    }

    /// Runs the `docker` command: what a person would do.
    pub(crate) fn docker(&self, arguments: &[&str]) -> Output {
        Command::new("docker").env("DOCKER_HOST", self.host()).args(arguments).output().unwrap()
    }

    /// What a `docker` command says that must succeed.
    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        let output = self.docker(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub(crate) fn stop(&self) {
        let mut child = self.child.lock().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap();
    }

    pub(crate) async fn start(&self) {
        *self.child.lock().unwrap() = spawn(&self.folder);
        self.until_it_answers().await;
    }

    async fn until_it_answers(&self) {
        for _ in 0..300 {
            if self.docker(&["version"]).status.success() {
                return;
            }
            let ended = self.child.lock().unwrap().try_wait().unwrap();
            let log = || fs::read_to_string(self.folder.join("dockerd.log")).unwrap_or_default();
            assert!(ended.is_none(), "dockerd ended: {}", log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("dockerd does not answer: {}", fs::read_to_string(self.folder.join("dockerd.log")).unwrap());
    }
}

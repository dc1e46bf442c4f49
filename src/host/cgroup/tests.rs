//! Version 2 is tested on a tree of plain files, as the machines these tests run on may have version 1: it shows what is written where, not
//! what a kernel makes of it. Version 1 is tested the same way here, and for real by `tests/docker`.

use super::*;

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn read(root: &tempfile::TempDir, path: &str) -> String {
    fs::read_to_string(root.path().join(path)).unwrap()
}

const SCOPE: &str = "sys/fs/cgroup/system.slice/docker-ab12.scope";
/// As on machines where each controller has a mount of its own.
const V1_MEMBERSHIP: &str = "9:pids:/docker/ab12\n5:memory:/docker/ab12\n4:cpuacct:/docker/ab12\n3:cpuset:/docker/ab12\n2:cpu:/docker/ab12\n0::/\n";

fn v2() -> tempfile::TempDir {
    let at = |file: &str| format!("{SCOPE}/{file}");
    let files = [
        ("proc/77/cgroup".to_owned(), "0::/system.slice/docker-ab12.scope\n"),
        ("sys/fs/cgroup/cpu.stat".to_owned(), "usage_usec 99\n"),
        (at("cpu.stat"), "usage_usec 5000\nnr_periods 10\nnr_throttled 7\nthrottled_usec 1\n"),
        (at("cpu.max"), "150000 100000\n"),
        (at("memory.current"), "9000\n"),
        (at("memory.stat"), "anon 1\ninactive_file 2000\n"),
        (at("memory.max"), "67108864\n"),
        (at("memory.high"), "max\n"),
        (at("memory.swap.max"), "0\n"),
        (at("memory.events"), "low 0\noom 3\noom_kill 2\noom_group_kill 0\n"),
        (
            at("memory.pressure"),
            "some avg10=3.50 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
        ),
        (at("pids.current"), "12\n"),
        (at("pids.max"), "max\n"),
        (at("cpuset.cpus"), "\n"),
    ];
    tree(&files.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>())
}

fn v1() -> tempfile::TempDir {
    let base = "sys/fs/cgroup";
    let at = |controller: &str, file: &str| format!("{base}/{controller}/docker/ab12/{file}");
    let files = [
        ("proc/77/cgroup".to_owned(), V1_MEMBERSHIP),
        (at("cpuacct", "cpuacct.usage"), "5000000\n"),
        (at("cpu", "cpu.cfs_quota_us"), "-1\n"),
        (at("cpu", "cpu.cfs_period_us"), "100000\n"),
        (at("cpu", "cpu.stat"), "nr_periods 10\nnr_throttled 7\nthrottled_time 1\n"),
        (at("cpuset", "cpuset.cpus"), "0-1\n"),
        (at("memory", "memory.usage_in_bytes"), "9000\n"),
        (at("memory", "memory.stat"), "inactive_file 1\ntotal_inactive_file 2000\n"),
        (at("memory", "memory.limit_in_bytes"), "67108864\n"),
        (at("memory", "memory.memsw.limit_in_bytes"), "67108864\n"),
        (at("memory", "memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
        (at("pids", "pids.current"), "12\n"),
        (at("pids", "pids.max"), "64\n"),
        (at("pids", "cgroup.procs"), "77\n"),
    ];
    tree(&files.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>())
}

#[test]
fn both_versions_tell_the_same_of_a_container() {
    for (root, psi) in [(v2(), Some(3.5)), (v1(), None)] {
        let cgroup = Cgroup::of_pid(root.path(), 77).unwrap();
        assert!(cgroup.is_named("ab12") && !cgroup.is_named("cd34"));
        assert_eq!(cgroup.memory_used(), Some(7000));
        assert_eq!(cgroup.cpu_used_us(), Some(5000));
        assert_eq!(cgroup.oom_kills(), Some(2));
        assert_eq!(cgroup.throttled(), Some(7));
        assert_eq!(cgroup.pids_current(), Some(12));
        assert_eq!(cgroup.memory_psi().map(|psi| psi.round()), psi.map(f64::round));
    }
}

#[test]
fn limits_are_read_in_both_versions() {
    let (v2, v1) = (v2(), v1());
    let of = |root: &tempfile::TempDir| Cgroup::of_pid(root.path(), 77).unwrap().limits();
    assert_eq!(
        of(&v2),
        CgroupLimits {
            memory: Some(67_108_864),
            swap: Some(0),
            cpu: Some(CpuQuota::of_cores(1.5)),
            cpuset: None,
            pids: None
        }
    );
    assert_eq!(
        of(&v1),
        CgroupLimits {
            memory: Some(67_108_864),
            swap: Some(0),
            cpu: None,
            cpuset: Some("0-1".into()),
            pids: Some(64)
        }
    );
}

#[test]
fn what_is_written_is_read_back_and_none_takes_limits_away() {
    let limits = CgroupLimits {
        memory: Some(1 << 30),
        swap: Some(1 << 20),
        cpu: Some(CpuQuota::of_cores(0.25)),
        cpuset: Some("0".into()),
        pids: Some(9),
    };
    for root in [v2(), v1()] {
        let cgroup = Cgroup::of_pid(root.path(), 77).unwrap();
        cgroup.hold_to(&limits).unwrap();
        assert_eq!(cgroup.limits(), limits);
        cgroup.hold_to(&CgroupLimits::default()).unwrap();
        assert_eq!((cgroup.limits().cpu, cgroup.limits().pids), (None, None));
    }
    let root = v2();
    let cgroup = Cgroup::of_pid(root.path(), 77).unwrap();
    cgroup.hold_to(&CgroupLimits { memory: Some(5), swap: None, ..CgroupLimits::default() }).unwrap();
    assert_eq!(read(&root, &format!("{SCOPE}/memory.max")), "5");
    assert_eq!(read(&root, &format!("{SCOPE}/memory.swap.max")), "max");
    cgroup.set_memory_high(Some(4)).unwrap();
    assert_eq!(read(&root, &format!("{SCOPE}/memory.high")), "4");
}

#[test]
fn nobody_is_taken_for_the_root() {
    // The path is another namespace's: the root of the mount would be the whole machine.
    let root =
        tree(&[("proc/77/cgroup", "0::/somewhere/else\n"), ("sys/fs/cgroup/cpu.stat", "usage_usec 99\n")]);
    assert_eq!(Cgroup::of_pid(root.path(), 77), None);
    assert_eq!(Cgroup::of_pid(root.path(), 78), None);
}

#[test]
fn a_limit_without_its_controller_is_an_error_that_names_the_file() {
    let root = tree(&[("proc/77/cgroup", "0::/a\n"), ("sys/fs/cgroup/a/cpu.stat", "")]);
    let cgroup = Cgroup::of_pid(root.path(), 77).unwrap();
    cgroup.hold_to(&CgroupLimits::default()).unwrap();
    let error = cgroup.hold_to(&CgroupLimits { memory: Some(1), ..CgroupLimits::default() }).unwrap_err();
    assert!(error.to_string().contains("memory.max"), "{error}");
}

#[test]
fn our_own_cgroup_of_version_2_is_split_only_when_it_is_ours_alone() {
    let own = |procs| {
        tree(&[
            ("proc/self/cgroup", "0::/relaymux.service\n"),
            ("sys/fs/cgroup/relaymux.service/cpu.stat", ""),
            ("sys/fs/cgroup/relaymux.service/cgroup.procs", procs),
            ("sys/fs/cgroup/relaymux.service/cgroup.controllers", "cpu io memory pids\n"),
            ("sys/fs/cgroup/relaymux.service/cgroup.subtree_control", ""),
            // A kernel makes these with the folders.
            ("sys/fs/cgroup/relaymux.service/main/cgroup.procs", ""),
            ("sys/fs/cgroup/relaymux.service/relaymux/cgroup.controllers", "cpu memory pids\n"),
            ("sys/fs/cgroup/relaymux.service/relaymux/cgroup.subtree_control", ""),
            ("sys/fs/cgroup/relaymux.service/relaymux/geth/cgroup.procs", ""),
        ])
    };
    let root = own("41\n");
    let child = Cgroup::find(root.path()).unwrap().child("relaymux/geth", 41).unwrap();
    child.adopt(77).unwrap();
    let folder = "sys/fs/cgroup/relaymux.service";
    assert_eq!(read(&root, &format!("{folder}/main/cgroup.procs")), "41");
    assert_eq!(read(&root, &format!("{folder}/cgroup.subtree_control")), "+memory +cpu +pids");
    assert_eq!(read(&root, &format!("{folder}/relaymux/cgroup.subtree_control")), "+memory +cpu +pids");
    assert_eq!(child.processes(), [77]);

    let shared = own("41\n1000\n");
    let error = Cgroup::find(shared.path()).unwrap().child("relaymux/geth", 41).unwrap_err();
    assert!(error.to_string().contains("Delegate=yes"), "{error}");
}

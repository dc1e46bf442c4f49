//! Who may read `data_dir`, and who may use it.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::stage::{binary, honest, stage};

/// Every file of the service, by name, with its mode.
fn modes(folder: &std::path::Path) -> Vec<(String, u32)> {
    let files = fs::read_dir(folder).unwrap().flatten().filter(|entry| entry.path().is_file());
    files
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, entry.metadata().unwrap().permissions().mode() & 0o777)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_on_the_machine_reads_the_ledger() {
    let mut stage = stage().relay(honest()).start().await;
    let slot = stage.slot();
    stage.header_at(slot).await.unwrap();
    stage.auction(slot).await;
    let data = stage.data_dir();
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    let made = modes(&data);
    for name in ["ledger.db", "ledger.db-wal", "journal.db", "journal.db-wal", "admin.token", "relaymux.lock"]
    {
        assert!(made.contains(&(name.to_owned(), 0o600)), "{name}: {made:?}");
    }
    assert!(made.iter().all(|(_, mode)| *mode == 0o600), "{made:?}");
    // An earlier version left all of it open.
    stage.kill();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    for (name, _) in &made {
        let path = data.join(name);
        if path.exists() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
    stage.start_again().await;
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(modes(&data).iter().all(|(_, mode)| *mode == 0o600), "{:?}", modes(&data));
    assert!(stage.log().contains("was readable by others"), "{}", stage.log());
}

/// [D4]
#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_in_one_folder_is_told_of_the_first() {
    let mut stage = stage().relay(honest()).start().await;
    let second = || {
        let mut command = binary();
        command.current_dir(stage.folder.path()).args(["run", "--config", "relays.toml"]);
        command.output().unwrap()
    };
    let output = second();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let holder = fs::read_to_string(stage.data_dir().join("relaymux.lock")).unwrap();
    assert!(holder.starts_with("pid ") && holder.trim().ends_with("network stage"), "{holder}");
    assert!(said.contains(&format!("is in use by another relaymux ({})", holder.trim())), "{said}");
    // The first goes on as before; and whoever was killed holds nothing.
    stage.header().await.unwrap();
    stage.kill();
    stage.start_again().await;
    stage.header().await.unwrap();
}

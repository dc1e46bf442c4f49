//! Solana: a chain of one's own for tests. A validator of the real one is not started in a container.

use super::{
    input::Template,
    shape::{DATA, Lacks, Shape},
};

/// `solana-test-validator`. Its images start something else by themselves.
pub(super) fn test_validator(template: &Template, lacks: &mut Lacks) -> Shape {
    lacks.data(template);
    // A folder within, as it removes and makes the whole of it when it begins anew, and a mount cannot be removed.
    let args = vec![
        format!("--ledger={DATA}/test-ledger"),
        "--bind-address=0.0.0.0".to_owned(),
        "--rpc-port=8899".to_owned(),
        "--log".to_owned(),
    ];
    Shape {
        entrypoint: Some("solana-test-validator"),
        args,
        data: DATA,
        rpc: 8899,
        ws: Some(8900),
        ..Shape::default()
    }
}

/// agave: 256 GB of memory, buffers and limits of the kernel's that belong to the whole machine, and a range of UDP ports that Docker would
/// forward one by one. It is attached to, or started by the operator's own command.
pub(super) fn agave(lacks: &mut Lacks) -> Shape {
    lacks.say(
        "image",
        "there is no template for agave in a container: it needs 256 GB of memory, settings of the whole machine's kernel and a range of UDP \
         ports, for which its makers know systemd alone",
        "run it as a unit and write runtime = \"systemd\" and unit = \"…\"; name a container that is there with `container` and no image; or \
         give `command`; for tests there is kind = \"solana-test-validator\"",
    );
    Shape { data: DATA, rpc: 8899, ws: Some(8900), ..Shape::default() }
}

/// agave by the operator's own command.
pub(super) fn agave_by_command() -> Shape {
    Shape { data: DATA, rpc: 8899, ws: Some(8900), ..Shape::default() }
}

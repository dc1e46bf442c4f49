//! Does what the ladder decides. Each act comes to an end, and says what went wrong with it.

use std::{path::PathBuf, time::Duration};

use tokio::time::timeout;

use crate::{
    events::{ActedBy, DiskRung},
    supervisor::{
        Order, OrderKind, SupervisorHandle,
        disk::{
            ballast,
            bounded::Bounded,
            clean::{CleanFailed, CleanParts, clean},
            ladder::Act,
            report::CleanReport,
            settings::BallastSettings,
        },
    },
};

/// Longest wait for a node to stop or start: its grace is hers, and some have five minutes.
const ORDER_WITHIN: Duration = Duration::from_secs(900);
/// Longest wait for the ballast.
const BALLAST_WITHIN: Duration = Duration::from_secs(120);

/// With what.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) clean: CleanParts,
    pub(super) nodes: Option<SupervisorHandle>,
    pub(super) ballast: Option<BallastSettings>,
    pub(super) filesystem: PathBuf,
    pub(super) bounded: Bounded,
}

/// What came of an act: what went wrong, and the cleaning that it was.
pub(super) struct Came {
    pub(super) error: Option<String>,
    pub(super) cleaned: Option<Result<CleanReport, CleanFailed>>,
}

impl Came {
    fn of(result: Result<(), String>) -> Self {
        Self { error: result.err(), cleaned: None }
    }
}

/// Does it.
pub(super) async fn act(means: &Means, act: &Act) -> Came {
    match act.rung {
        DiskRung::Alert | DiskRung::Over => Came::of(Ok(())),
        DiskRung::Clean => {
            let cleaned = clean(&means.clean, &format!("{}: {}", means.filesystem.display(), act.why)).await;
            let error = match &cleaned {
                // Whoever does it, it is done.
                Ok(_) | Err(CleanFailed::UnderWay(_)) => None,
                Err(error) => Some(error.to_string()),
            };
            Came { error, cleaned: Some(cleaned) }
        }
        DiskRung::StopWorkload => Came::of(order(means, act, OrderKind::Stop).await),
        DiskRung::StartWorkload => Came::of(order(means, act, OrderKind::Up).await),
        DiskRung::ReleaseBallast => Came::of(of_ballast(means, "released", ballast::release).await),
        DiskRung::RemakeBallast => Came::of(of_ballast(means, "made", ballast::make).await),
    }
}

async fn order(means: &Means, act: &Act, kind: OrderKind) -> Result<(), String> {
    let (Some(nodes), Some(node)) = (&means.nodes, &act.node) else {
        return Err("no nodes are looked after".to_owned());
    };
    let why = match kind {
        OrderKind::Stop => format!("The disk of {} is nearly full: {}", means.filesystem.display(), act.why),
        _ => act.why.clone(),
    };
    let order = Order { node: node.clone(), kind, by: ActedBy::Disk, why };
    match timeout(ORDER_WITHIN, nodes.order(order)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(refused)) => Err(refused.to_string()),
        Err(_) => Err(format!("it has not ended within {} s", ORDER_WITHIN.as_secs())),
    }
}

async fn of_ballast(
    means: &Means,
    what: &str,
    call: fn(&BallastSettings) -> std::io::Result<()>,
) -> Result<(), String> {
    // Nobody wants one any more.
    let Some(ballast) = means.ballast.clone() else { return Ok(()) };
    let path = ballast.path.display().to_string();
    match means.bounded.run(&path, BALLAST_WITHIN, move || call(&ballast)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("{path} cannot be {what}: {error}")),
        Err(hangs) => Err(format!("{path} cannot be {what}: {hangs}")),
    }
}

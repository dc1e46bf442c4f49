//! The watch of `[disk]`: its parts.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use futures_util::future::BoxFuture;

use crate::{
    config::Config,
    consensus::WallClock,
    supervisor::{
        DockerHost,
        disk::{CleanParts, ImageStore},
        runtime::docker::DockerRuntime,
    },
};

/// What cleanings need, by a configuration; none where it has no `[disk]`. Nothing is connected yet.
pub(crate) fn clean_parts(config: &Config, clock: WallClock) -> Option<CleanParts> {
    let settings = config.disk.clone()?;
    let host = config.nodes.as_ref().map(|nodes| nodes.docker.clone());
    Some(CleanParts {
        settings: Arc::new(settings),
        clock,
        images: images(host),
        stop: Arc::new(AtomicBool::new(false)),
    })
}

/// The Docker engine; none where there is none to be seen.
fn images(host: Option<DockerHost>) -> Option<Arc<dyn ImageStore>> {
    let address = match host.unwrap_or_default() {
        DockerHost::Unix(path) if !Path::new(&path).exists() => return None,
        DockerHost::Unix(path) => format!("unix://{}", path.display()),
        DockerHost::Tcp(address) => format!("tcp://{address}"),
    };
    Some(Arc::new(Docker(DockerRuntime::new(Some(address)))))
}

struct Docker(DockerRuntime);

impl ImageStore for Docker {
    fn prune_images(&self, min_age: Duration) -> BoxFuture<'_, Result<u64, String>> {
        Box::pin(async move { self.0.prune_images(min_age).await.map_err(|error| without_stop(&error)) })
    }

    fn prune_builds(&self, min_age: Duration) -> BoxFuture<'_, Result<u64, String>> {
        Box::pin(async move { self.0.prune_builds(min_age).await.map_err(|error| without_stop(&error)) })
    }
}

/// A sentence that becomes part of another one.
fn without_stop(error: &impl ToString) -> String {
    error.to_string().trim_end_matches('.').to_owned()
}

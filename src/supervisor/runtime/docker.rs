//! Containers, over the API of a Docker engine (1.41 and up, negotiated).
//!
//! What we create is hardened whatever its template says, and has our label; only what has it may be removed. Docker's own restart policy is
//! `no`: two who restart one thing are one too many. The engine's socket is root's: whoever may open it may do everything on the machine.

mod create;
mod engine;
mod events;
mod image;
mod inspect;
mod logs;
mod network;
mod prune;
mod resize;
mod running;
mod visible;

use std::{collections::HashMap, path::PathBuf, time::Duration};

use bollard::{
    Docker,
    models::{ContainerInspectResponse, NetworkConnectRequest},
    query_parameters::{
        CreateContainerOptionsBuilder, RemoveContainerOptions, StatsOptionsBuilder,
        StopContainerOptionsBuilder,
    },
};
use engine::{CALL, Engine, is_status, refused};
use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::time::timeout;
use visible::VisibleCgroups;

pub use running::{Running, Unseen};

use super::{
    Runtime, RuntimeError, RuntimeEvent,
    held::{self, Whole},
};
use crate::supervisor::{
    DockerSettings, Inspection, LaunchSpec, Limits, Network, NodeSettings, ProcessStatus, RuntimeSettings,
};

/// Longest wait for what a container uses.
const FIGURES: Duration = Duration::from_secs(5);

/// A Docker engine and the containers of nodes on it.
#[derive(Debug)]
pub struct DockerRuntime {
    engine: Engine,
    /// Which of several sidecars on one engine made a container.
    instance: String,
    cgroups: VisibleCgroups,
}

impl DockerRuntime {
    /// The engine at an address as in `DOCKER_HOST` (`unix:///run/docker.sock`, `tcp://127.0.0.1:2375`); none: `/var/run/docker.sock`. Nothing
    /// is connected yet.
    pub fn new(host: Option<String>) -> Self {
        let engine = Engine::new(host);
        let cgroups = if engine.is_local() { VisibleCgroups::under("/") } else { VisibleCgroups::none() };
        Self { engine, instance: "1".to_owned(), cgroups }
    }

    /// Names the sidecar, where several share an engine: each calls only those containers its own that it made.
    #[must_use]
    pub fn with_instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = instance.into();
        self
    }

    /// Reads `/proc` and `/sys` under another folder.
    #[must_use]
    pub fn with_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.cgroups = VisibleCgroups::under(root);
        self
    }

    /// Looks at every container that runs, whoever made it. One that ended meanwhile is left out; a single one that cannot be read holds up no other.
    ///
    /// # Errors
    /// When the engine does not answer, or not in time.
    pub async fn running(&self) -> Result<Running, RuntimeError> {
        running::running(&self.engine).await
    }

    /// Looks at a container; none where there is none.
    async fn look(
        &self,
        docker: &Docker,
        settings: &DockerSettings,
    ) -> Result<Option<ContainerInspectResponse>, RuntimeError> {
        match self.engine.within(CALL, docker.inspect_container(&settings.container, None)).await? {
            Ok(found) => Ok(Some(found)),
            Err(error) if is_status(&error, 404) => Ok(None),
            Err(error) => {
                Err(self.engine.error(&error, &format!("{} cannot be inspected", settings.container)))
            }
        }
    }

    async fn found(
        &self,
        docker: &Docker,
        settings: &DockerSettings,
    ) -> Result<ContainerInspectResponse, RuntimeError> {
        self.look(docker, settings).await?.ok_or_else(|| {
            RuntimeError::Refused(format!(
                "There is no container {name} on this engine. `relaymux nodes up` creates it from its template; \
                 without one, create it by hand, or correct `container`.",
                name = settings.container
            ))
        })
    }

    async fn inspect(&self, node: &NodeSettings) -> Result<Inspection, RuntimeError> {
        let settings = docker_of(node)?;
        let docker = self.engine.connect().await?;
        let Some(found) = self.look(&docker, settings).await? else {
            return Ok(inspect::absent());
        };
        let mut seen = inspect::inspection(&found, node, &self.instance);
        if matches!(seen.status, ProcessStatus::Running { .. } | ProcessStatus::Paused) {
            let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
            let stats = docker.stats(&settings.container, Some(options));
            // A container may end between the two calls: then there is none, and the next look says so. Nor are figures waited for: an engine that is
            // slow with them still says how the container is.
            let stats = timeout(FIGURES, Box::pin(stats).into_future()).await;
            let stats = stats.ok().and_then(|(first, _)| first?.ok());
            let mut usage = inspect::usage(stats.as_ref(), found.host_config.as_ref());
            self.cgroups.complete(&mut usage, &found);
            seen.usage = Some(usage);
        }
        Ok(seen)
    }

    async fn create(&self, node: &NodeSettings) -> Result<(), RuntimeError> {
        let settings = docker_of(node)?;
        let docker = self.engine.connect().await?;
        if self.look(&docker, settings).await?.is_some() {
            return Ok(());
        }
        let name = &settings.container;
        let Some(launch) = &settings.launch else {
            return Err(RuntimeError::Refused(format!(
                "There is no container {name}, and node {id} is only attached to: start the container by hand, or give \
                 the node an `image` so that it is created.",
                id = node.id
            )));
        };
        image::ensure(&self.engine, &docker, &launch.image).await?;
        let networks = create::networks(launch);
        for one in &networks {
            network::ensure(&self.engine, &docker, *one, &self.instance).await?;
        }
        let body = create::body(node, launch, &networks, &self.instance);
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        match self.engine.within(CALL, docker.create_container(Some(options), body)).await? {
            Ok(_) => {}
            // Somebody else was quicker.
            Err(error) if is_status(&error, 409) => return Ok(()),
            Err(error) => {
                return Err(self.engine.error(&error, &format!("container {name} cannot be created")));
            }
        }
        let joined = self.join(&docker, node, launch, name, &networks).await;
        if joined.is_err() {
            // Half a container would be taken for a whole one by the next `create`. It was never started: nothing is lost.
            let _ =
                self.engine.within(CALL, docker.remove_container(name, None::<RemoveContainerOptions>)).await;
        }
        joined
    }

    /// Joins the networks beside the first: before API 1.44 a container is created with one.
    async fn join(
        &self,
        docker: &Docker,
        node: &NodeSettings,
        launch: &LaunchSpec,
        name: &str,
        networks: &[Network],
    ) -> Result<(), RuntimeError> {
        for other in networks.iter().skip(1) {
            let request = NetworkConnectRequest {
                container: name.to_owned(),
                endpoint_config: Some(create::endpoint(node, launch, *other)),
            };
            let joined = self.engine.within(CALL, docker.connect_network(other.label(), request)).await?;
            joined.map_err(|error| {
                self.engine.error(&error, &format!("container {name} cannot join network {other}"))
            })?;
        }
        Ok(())
    }

    async fn start(&self, node: &NodeSettings) -> Result<(), RuntimeError> {
        let settings = docker_of(node)?;
        let docker = self.engine.connect().await?;
        let name = &settings.container;
        // Starting what is frozen does nothing, and nobody but a person freezes.
        if let Some(found) = self.look(&docker, settings).await?
            && inspect::status(&found) == ProcessStatus::Paused
        {
            return Err(RuntimeError::Refused(format!(
                "Container {name} is paused, which somebody did by hand: `docker unpause {name}`."
            )));
        }
        match self.engine.within(CALL, docker.start_container(name, None)).await? {
            Ok(()) => Ok(()),
            Err(error) if is_status(&error, 304) => Ok(()),
            Err(error) if is_status(&error, 404) => self.found(&docker, settings).await.map(|_| ()),
            Err(error) => Err(self.engine.error(&error, &format!("container {name} cannot be started"))),
        }
    }

    async fn stop(&self, node: &NodeSettings, grace: Duration) -> Result<(), RuntimeError> {
        let settings = docker_of(node)?;
        // The engine answers when it is over: its grace, and then the kill.
        let longest = grace + CALL;
        let docker = self.engine.connect().await?.with_timeout(longest);
        let name = &settings.container;
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        match self.engine.within(longest, docker.stop_container(name, Some(options))).await? {
            Ok(()) => Ok(()),
            Err(error) if is_status(&error, 304) || is_status(&error, 404) => Ok(()),
            Err(error) => Err(self.engine.error(&error, &format!("container {name} cannot be stopped"))),
        }
    }

    async fn remove(&self, node: &NodeSettings) -> Result<(), RuntimeError> {
        let settings = docker_of(node)?;
        let docker = self.engine.connect().await?;
        let name = &settings.container;
        let Some(found) = self.look(&docker, settings).await? else { return Ok(()) };
        if !inspect::is_ours(&found, node, &self.instance) {
            return Err(RuntimeError::Refused(format!(
                "Container {name} was not created by this relaymux (it has no label {}={}), so it is not removed: \
                 `docker rm {name}` if that is what you want.",
                create::LABEL_NODE,
                node.id
            )));
        }
        // By its id: under its name there may be another by now. Volumes stay: data is never deleted.
        let id = found.id.as_deref().unwrap_or(name);
        match self.engine.within(CALL, docker.remove_container(id, None::<RemoveContainerOptions>)).await? {
            Ok(()) => Ok(()),
            Err(error) if is_status(&error, 404) => Ok(()),
            Err(error) if is_status(&error, 409) => Err(RuntimeError::Refused(format!(
                "Container {name} runs: it is stopped before it is removed."
            ))),
            Err(error) => Err(self.engine.error(&error, &format!("container {name} cannot be removed"))),
        }
    }

    async fn resize(&self, node: &NodeSettings, limits: &Limits) -> Result<(), RuntimeError> {
        let settings = docker_of(node)?;
        let docker = self.engine.connect().await?;
        let name = &settings.container;
        self.found(&docker, settings).await?;
        let before = self.inspect(node).await?;
        held::check(name, limits, before.usage.as_ref())?;
        let info = self.engine.within(CALL, docker.info()).await?;
        let info = info.map_err(|error| self.engine.error(&error, "the engine does not describe itself"))?;
        let whole = Whole {
            cores: info.ncpu.and_then(|cores| u32::try_from(cores).ok()).unwrap_or(1),
            memory: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()),
        };
        let update = resize::update(limits, whole);
        let done = self.engine.within(CALL, docker.update_container(name, update)).await?;
        done.map_err(|error| self.engine.error(&error, &format!("the limits of {name} cannot be changed")))?;
        let after = self.found(&docker, settings).await?;
        let holds = self.cgroups.limits(&after).unwrap_or_else(|| resize::held(after.host_config.as_ref()));
        held::compare(name, limits, &holds, whole, info.swap_limit.unwrap_or(false))
    }

    async fn logs(&self, node: &NodeSettings, lines: usize) -> Result<Vec<String>, RuntimeError> {
        let settings = docker_of(node)?;
        let docker = self.engine.connect().await?;
        let found = self.found(&docker, settings).await?;
        logs::last(&self.engine, &docker, settings, &found, lines).await
    }
}

/// The settings of a node that runs in a container.
fn docker_of(node: &NodeSettings) -> Result<&DockerSettings, RuntimeError> {
    match &node.runtime {
        RuntimeSettings::Docker(settings) => Ok(settings),
        RuntimeSettings::Systemd(_) | RuntimeSettings::Process(_) => {
            Err(refused(format!("Node {} does not run in a container.", node.id)))
        }
    }
}

impl Runtime for DockerRuntime {
    fn inspect<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<Inspection, RuntimeError>> {
        self.inspect(node).boxed()
    }

    fn create<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.create(node).boxed()
    }

    fn start<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.start(node).boxed()
    }

    fn stop<'a>(
        &'a self,
        node: &'a NodeSettings,
        grace: Duration,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.stop(node, grace).boxed()
    }

    fn remove<'a>(&'a self, node: &'a NodeSettings) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.remove(node).boxed()
    }

    fn resize<'a>(
        &'a self,
        node: &'a NodeSettings,
        limits: &'a Limits,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.resize(node, limits).boxed()
    }

    fn logs<'a>(
        &'a self,
        node: &'a NodeSettings,
        lines: usize,
    ) -> BoxFuture<'a, Result<Vec<String>, RuntimeError>> {
        self.logs(node, lines).boxed()
    }

    fn events<'a>(&'a self, nodes: &'a [NodeSettings]) -> BoxStream<'a, RuntimeEvent> {
        let names: HashMap<&str, &NodeSettings> =
            nodes.iter().filter_map(|node| Some((docker_of(node).ok()?.container.as_str(), node))).collect();
        stream::once(self.engine.connect())
            .flat_map(move |docker| match docker {
                Ok(docker) => events::of(docker, names.clone()).boxed(),
                Err(_) => stream::empty().boxed(),
            })
            .boxed()
    }
}

#[cfg(test)]
#[path = "docker/figures_tests.rs"]
mod tests;

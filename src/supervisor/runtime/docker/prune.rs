//! Gives room back: images that no tag and no container names, and what is kept of builds. Never volumes: the data of a stopped node is one that
//! nobody uses.

use std::{collections::HashMap, time::Duration};

use bollard::query_parameters::{PruneBuildOptionsBuilder, PruneImagesOptionsBuilder};

use super::DockerRuntime;
use crate::supervisor::RuntimeError;

/// Longest wait: the engine deletes while it is asked.
const PRUNE: Duration = Duration::from_secs(600);

impl DockerRuntime {
    /// Removes dangling images made longer ago than `min_age`. How many bytes that freed.
    ///
    /// # Errors
    /// When the engine is away, or refuses.
    pub async fn prune_images(&self, min_age: Duration) -> Result<u64, RuntimeError> {
        let docker = self.engine.connect().await?;
        let filters = HashMap::from([("dangling", vec!["true".to_owned()]), ("until", vec![until(min_age)])]);
        let options = PruneImagesOptionsBuilder::new().filters(&filters).build();
        let pruned = self.engine.within(PRUNE, docker.prune_images(Some(options))).await?;
        let pruned =
            pruned.map_err(|error| self.engine.error(&error, "dangling images cannot be removed"))?;
        Ok(bytes(pruned.space_reclaimed))
    }

    /// Removes what is kept of builds and was not used for `min_age`. How many bytes that freed.
    ///
    /// # Errors
    /// When the engine is away, or refuses.
    pub async fn prune_builds(&self, min_age: Duration) -> Result<u64, RuntimeError> {
        let docker = self.engine.connect().await?;
        let filters = HashMap::from([("until", vec![until(min_age)])]);
        let options = PruneBuildOptionsBuilder::new().filters(&filters).build();
        let pruned = self.engine.within(PRUNE, docker.prune_build(Some(options))).await?;
        let pruned = pruned.map_err(|error| self.engine.error(&error, "builds' cache cannot be removed"))?;
        Ok(bytes(pruned.space_reclaimed))
    }
}

/// As Docker understands it.
fn until(min_age: Duration) -> String {
    format!("{}s", min_age.as_secs())
}

fn bytes(reclaimed: Option<i64>) -> u64 {
    reclaimed.unwrap_or(0).max(0).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixListener,
    };

    use super::*;

    /// An engine that says what it was asked, and that some room came free.
    #[tokio::test]
    async fn only_dangling_images_and_builds_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        let engine = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                let mut part = [0; 4096];
                while !request.windows(4).any(|part| part == b"\r\n\r\n") {
                    let read = stream.read(&mut part).await.unwrap();
                    if read == 0 {
                        break;
                    }
                    request.extend_from_slice(&part[..read]);
                }
                let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
                let body = if line.contains("/version") {
                    r#"{"ApiVersion":"1.41","MinAPIVersion":"1.12"}"#
                } else {
                    r#"{"SpaceReclaimed":4096}"#
                };
                heard.lock().unwrap().push(line);
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let docker = DockerRuntime::new(Some(format!("unix://{}", path.display())));
        assert_eq!(docker.prune_images(Duration::from_secs(3600)).await.unwrap(), 4096);
        assert_eq!(docker.prune_builds(Duration::from_secs(60)).await.unwrap(), 4096);
        engine.abort();
        let asked = asked.lock().unwrap().join("\n");
        assert!(
            asked.contains("/images/prune?") && asked.contains("dangling") && asked.contains("3600s"),
            "{asked}"
        );
        assert!(asked.contains("/build/prune?") && asked.contains("60s"), "{asked}");
        assert!(!asked.contains("volume") && !asked.contains("system"), "{asked}");
    }
}

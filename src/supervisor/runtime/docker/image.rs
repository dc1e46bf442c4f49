//! Images: there, or pulled, or a sentence that says how.

use std::time::Duration;

use bollard::{Docker, query_parameters::CreateImageOptionsBuilder};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout};

use super::engine::{CALL, Engine, clipped, is_status};
use crate::supervisor::RuntimeError;

/// Longest pull. Images of clients are 100 MB and more.
const PULL: Duration = Duration::from_secs(15 * 60);
/// Without any progress for so long, the registry is not there.
const SILENCE: Duration = Duration::from_secs(60);
/// How often progress is told.
const TOLD: Duration = Duration::from_secs(10);

/// Pulls an image where it is not there.
pub(super) async fn ensure(engine: &Engine, docker: &Docker, image: &str) -> Result<(), RuntimeError> {
    match engine.within(CALL, docker.inspect_image(image)).await? {
        Ok(_) => return Ok(()),
        Err(error) if is_status(&error, 404) => {}
        Err(error) => return Err(engine.error(&error, &format!("image {image} cannot be inspected"))),
    }
    tracing::info!(image, "image is pulled");
    let by_hand = |why: String| {
        RuntimeError::Refused(format!(
            "Image {image} is not on this machine, and it could not be pulled: {why}. Pull it yourself: `docker pull {image}`."
        ))
    };
    let options = CreateImageOptionsBuilder::new().from_image(image).build();
    let mut pull = Box::pin(docker.create_image(Some(options), None, None));
    let (began, mut told) = (Instant::now(), Instant::now());
    loop {
        match timeout(SILENCE, pull.next()).await {
            Err(_) => return Err(by_hand(format!("nothing came for {} s", SILENCE.as_secs()))),
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                let RuntimeError::Refused(why) = engine.error(&error, "the engine says") else {
                    return Err(engine.error(&error, "the pull broke off"));
                };
                return Err(by_hand(clipped(&why)));
            }
            Ok(Some(Ok(step))) => {
                if let Some(detail) = step.error_detail.and_then(|detail| detail.message) {
                    return Err(by_hand(clipped(&detail)));
                }
                if told.elapsed() >= TOLD {
                    told = Instant::now();
                    let step = clipped(step.status.as_deref().unwrap_or_default());
                    tracing::info!(
                        image,
                        step,
                        elapsed_s = began.elapsed().as_secs(),
                        "image is being pulled"
                    );
                }
            }
        }
        if began.elapsed() > PULL {
            return Err(by_hand(format!("it was not done within {} minutes", PULL.as_secs() / 60)));
        }
    }
    match engine.within(CALL, docker.inspect_image(image)).await? {
        Ok(_) => Ok(()),
        Err(_) => Err(by_hand("the pull ended, and it is not there".to_owned())),
    }
}

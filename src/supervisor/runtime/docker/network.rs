//! The two networks of containers.

use std::collections::HashMap;

use bollard::{Docker, models::NetworkCreateRequest};

use super::{
    create::LABEL_INSTANCE,
    engine::{CALL, Engine, is_status},
};
use crate::supervisor::{Network, RuntimeError};

/// Makes a network where it is not there.
pub(super) async fn ensure(
    engine: &Engine,
    docker: &Docker,
    network: Network,
    instance: &str,
) -> Result<(), RuntimeError> {
    let internal = network == Network::Internal;
    match engine.within(CALL, docker.inspect_network(network.label(), None)).await? {
        Ok(found) if found.internal.unwrap_or(false) == internal => return Ok(()),
        Ok(_) => {
            let is = if internal {
                "has a way out, though it must be internal"
            } else {
                "is internal, though peers must be reached over it"
            };
            return Err(RuntimeError::Refused(format!(
                "The Docker network {network} {is}: it was not made by relaymux. Remove it (`docker network rm {network}`), \
                 and it is made anew."
            )));
        }
        Err(error) if is_status(&error, 404) => {}
        Err(error) => return Err(engine.error(&error, &format!("network {network} cannot be inspected"))),
    }
    let request = NetworkCreateRequest {
        name: network.label().to_owned(),
        driver: Some("bridge".to_owned()),
        internal: Some(internal),
        labels: Some(HashMap::from([(LABEL_INSTANCE.to_owned(), instance.to_owned())])),
        ..NetworkCreateRequest::default()
    };
    match engine.within(CALL, docker.create_network(request)).await? {
        Ok(_) => Ok(()),
        Err(error) if is_status(&error, 409) => Ok(()),
        Err(error) => Err(engine.error(&error, &format!("network {network} cannot be created"))),
    }
}

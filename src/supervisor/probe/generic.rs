//! Anything else: a path that must answer 2xx, or a port that must be open.
//!
//! A path that is not there, or not for us, is a mistake in the settings: `Ready::No`, as no start would change it. What answers 5xx is ill.

use tokio::net::TcpStream;
use url::{Host, Url};

use super::{
    failure::ProbeFailure,
    line::{Line, Trouble, refused},
};
use crate::supervisor::{ProbeSettings, Ready, Sight};

/// Asks. With a path by HTTP, without one it is enough that somebody takes a connection.
pub(super) async fn ask(line: &Line<'_>, settings: &ProbeSettings) -> Result<Sight, Trouble> {
    match &settings.path {
        Some(path) => {
            let came = line.get(path).await?;
            if came.is_success() {
                Ok(Sight::only(Ready::Yes))
            } else {
                Err(refused(came.status, "its path"))
            }
        }
        None => {
            let connected = line.within(connect(line.url())).await?;
            connected.map_err(|error| ProbeFailure::NoConnection(error.to_string()))?;
            Ok(Sight::only(Ready::Yes))
        }
    }
}

async fn connect(url: &Url) -> std::io::Result<TcpStream> {
    let port = url.port_or_known_default().unwrap_or(0);
    match url.host() {
        Some(Host::Ipv4(ip)) => TcpStream::connect((ip, port)).await,
        Some(Host::Ipv6(ip)) => TcpStream::connect((ip, port)).await,
        Some(Host::Domain(name)) => TcpStream::connect((name, port)).await,
        None => Err(std::io::Error::other("the url of its probe has no host")),
    }
}

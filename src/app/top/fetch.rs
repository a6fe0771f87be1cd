//! Asks a sidecar who is connected.

use std::net::SocketAddr;
use std::time::Duration;

use ureq::Agent;

use crate::control::admin::connections::shape::Connections;

/// How long a sidecar may take to answer. It gives up on its own workers after half a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of an answer that are read: ten thousand connections, each with texts as long as they may be.
const LONGEST: u64 = 64 << 20;

/// Bytes of a refusal that are shown.
const REFUSAL: u64 = 1000;

/// A sidecar's admin endpoint.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    url: String,
    agent: Agent,
}

/// Why it is not known who is connected.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(
        "no sidecar answers at {0}: {1}\nIs it running, with [admin] in its configuration and admin.address = \"{0}\"? \
         Another place can be named with --admin"
    )]
    Unreachable(SocketAddr, ureq::Error),
    #[error("there is no /connections at {0}: that is an older Ringside, or another program")]
    Unknown(SocketAddr),
    #[error("{0} says {1}: {2}")]
    Refused(SocketAddr, u16, String),
    #[error("{0} does not answer as Ringside {version} would: {1}", version = env!("CARGO_PKG_VERSION"))]
    Unreadable(SocketAddr, serde_json::Error),
}

impl Endpoint {
    /// The one at `address`, to be asked for at most `most` connections.
    pub(super) fn new(address: SocketAddr, most: usize) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            // It is on this machine, or at an address that was named.
            .proxy(None)
            .build();
        let url = format!("http://{address}/connections?most={most}");
        Self { address, url, agent: Agent::new_with_config(config) }
    }

    /// Who is connected now. Blocks.
    pub(super) fn ask(&self) -> Result<Connections, FetchError> {
        let unreachable = |error| FetchError::Unreachable(self.address, error);
        let mut answer = self.agent.get(&self.url).call().map_err(unreachable)?;
        match answer.status().as_u16() {
            200 => {
                let json = answer.body_mut().with_config().limit(LONGEST).read_to_vec().map_err(unreachable)?;
                serde_json::from_slice(&json).map_err(|error| FetchError::Unreadable(self.address, error))
            }
            404 => Err(FetchError::Unknown(self.address)),
            status => {
                let text = answer.body_mut().with_config().limit(REFUSAL).lossy_utf8(true).read_to_string();
                Err(FetchError::Refused(self.address, status, text.unwrap_or_default().trim().to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::Endpoint;

    /// What is told about a place that answers so; without an answer, nobody listens there.
    fn told(answer: Option<&'static str>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let Some(answer) = answer else {
            drop(listener);
            return Endpoint::new(address, 3).ask().unwrap_err().to_string().replace(&address.to_string(), "ADDRESS");
        };
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap()
        });
        let error = Endpoint::new(address, 3).ask().unwrap_err().to_string();
        let request = server.join().unwrap();
        assert!(request.starts_with("GET /connections?most=3 HTTP/1.1\r\n"), "{request}");
        assert!(request.to_lowercase().contains(&format!("\r\nhost: {address}\r\n")), "{request}");
        error.replace(&address.to_string(), "ADDRESS")
    }

    #[test]
    fn whoever_does_not_answer_as_a_sidecar_is_told_of() {
        let told_of_nobody = told(None);
        assert!(told_of_nobody.starts_with("no sidecar answers at ADDRESS: "), "{told_of_nobody}");
        assert!(told_of_nobody.contains("[admin]") && told_of_nobody.contains("--admin"), "{told_of_nobody}");
        for (answer, expected) in [
            ("HTTP/1.1 404 x\r\ncontent-length: 0\r\n\r\n", "there is no /connections at ADDRESS"),
            ("HTTP/1.1 503 x\r\ncontent-length: 5\r\n\r\nbusy\n", "ADDRESS says 503: busy"),
            ("HTTP/1.1 200 x\r\ncontent-length: 2\r\n\r\n{}", "ADDRESS does not answer as Ringside "),
            ("HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\n{}", "no sidecar answers at ADDRESS: "),
        ] {
            let told = told(Some(answer));
            assert!(told.starts_with(expected), "{told}");
        }
    }
}

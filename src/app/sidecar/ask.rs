//! Asks an admin endpoint.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::Response;

/// How long a sidecar may take to answer. It gives up on its own workers after half a second.
pub(in crate::app) const PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of an answer that are read: ten thousand connections, each with texts as long as they may be.
const LONGEST: u64 = 64 << 20;

/// Bytes of a text that are shown.
const TEXT: u64 = 1000;

/// A sidecar's admin endpoint.
#[derive(Clone, Debug)]
pub(in crate::app) struct Endpoint {
    pub(in crate::app) address: SocketAddr,
    agent: Agent,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::app) enum AskError {
    #[error(
        "no sidecar answers at {0}: {1}\nIs it running, with [admin] in its configuration and admin.address = \"{0}\"? \
         Another place can be named with --admin"
    )]
    Unreachable(SocketAddr, ureq::Error),
    #[error("there is no {1} at {0}: that is an older Ringside, or another program")]
    Unknown(SocketAddr, String),
    #[error("{0} says {1}: {2}")]
    Refused(SocketAddr, u16, String),
    #[error("{0} does not answer as Ringside {version} would: {1}", version = env!("CARGO_PKG_VERSION"))]
    Unreadable(SocketAddr, serde_json::Error),
}

/// An answer whose body is still to be read.
type Answer = Response<ureq::Body>;

impl Endpoint {
    /// The one at `address`.
    pub(in crate::app) fn new(address: SocketAddr) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // It is on this machine, or at an address that was named.
            .proxy(None)
            .build();
        Self { address, agent: Agent::new_with_config(config) }
    }

    /// What is at `path`, a JSON value. Blocks for at most `patience`.
    pub(in crate::app) fn get<T: DeserializeOwned>(&self, path: &str, patience: Duration) -> Result<T, AskError> {
        let request = self.agent.get(self.url(path)).config().timeout_global(Some(patience)).build();
        let mut answer = self.judge(request.call(), path)?;
        let json = answer.body_mut().with_config().limit(LONGEST).read_to_vec();
        let json = json.map_err(|error| AskError::Unreachable(self.address, error))?;
        serde_json::from_slice(&json).map_err(|error| AskError::Unreadable(self.address, error))
    }

    /// Posts nothing to `path`. What is said to that, for people. Blocks for at most `patience`.
    pub(in crate::app) fn post(&self, path: &str, patience: Duration) -> Result<String, AskError> {
        let request = self.agent.post(self.url(path)).config().timeout_global(Some(patience)).build();
        Ok(text(self.judge(request.send_empty(), path)?))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn judge(&self, answer: Result<Answer, ureq::Error>, path: &str) -> Result<Answer, AskError> {
        let answer = answer.map_err(|error| AskError::Unreachable(self.address, error))?;
        match answer.status().as_u16() {
            200..=299 => Ok(answer),
            404 => Err(AskError::Unknown(self.address, path.split('?').next().unwrap_or(path).to_owned())),
            status => Err(AskError::Refused(self.address, status, text(answer))),
        }
    }
}

impl AskError {
    /// Whether nobody listens there, as far as the system knows.
    pub(in crate::app) fn is_nobody(&self) -> bool {
        matches!(self, Self::Unreachable(_, ureq::Error::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

fn text(mut answer: Answer) -> String {
    let text = answer.body_mut().with_config().limit(TEXT).lossy_utf8(true).read_to_string();
    text.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::thread;

    use super::{AskError, Endpoint, PATIENCE};
    use crate::control::admin::connections::shape::Connections;

    fn ask(address: SocketAddr) -> AskError {
        Endpoint::new(address).get::<Connections>("/connections?most=3", PATIENCE).unwrap_err()
    }

    /// What is told about a place that answers so; without an answer, nobody listens there.
    fn told(answer: Option<&'static str>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let Some(answer) = answer else {
            drop(listener);
            let error = ask(address);
            assert!(error.is_nobody(), "{error}");
            return error.to_string().replace(&address.to_string(), "ADDRESS");
        };
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request[..length].to_vec()).unwrap()
        });
        let error = ask(address);
        assert!(!error.is_nobody(), "{error}");
        let error = error.to_string();
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

//! HTTP for whoever asks for the metrics. Connections are few, short and bounded, so that nobody who is slow or means harm costs more than
//! a few descriptors: each has one request and a limit of time, and when there are too many, the oldest gives way.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use smol::io::{AsyncRead, AsyncWrite};
use smol::{Async, Executor, Task};
use tracing::{debug, info, warn};

use super::Publication;
use crate::agent::Agent;
use crate::daemon::metrics::{METRICS, Refusal, answer_with, asked};
use crate::daemon::sandbox;
use crate::runtime::{BoxFuture, race, yield_now};

/// So many connections at once.
const MOST_CONNECTIONS: usize = 32;
/// From its beginning to its end a connection may take so long.
const LONGEST_CONNECTION: Duration = Duration::from_secs(10);
/// The agent answers in microseconds; one that does not is not waited for longer.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);
/// A request's head has no more bytes, the least that hyper allows.
const LARGEST_HEAD: usize = 8192;
/// Where no connection can be taken, as without descriptors, this is tried so often.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// Listens.
pub(super) struct Server {
    listener: Async<TcpListener>,
    address: SocketAddr,
}

impl Server {
    /// # Errors
    ///
    /// A sentence, where the address is in use, or not this machine's.
    pub(super) fn bind(address: SocketAddr) -> Result<Self, String> {
        let bind = || {
            let listener = TcpListener::bind(address)?;
            let address = listener.local_addr()?;
            let listener = Async::new(listener)?;
            Ok(Server { listener, address })
        };
        bind().map_err(|error: io::Error| {
            let what_to_do = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    Some("another program listens there; end it, or name another port".to_owned())
                }
                io::ErrorKind::AddrNotAvailable => Some("no interface of this machine has that address".to_owned()),
                io::ErrorKind::PermissionDenied => Some("ports below 1024 are for root; name another".to_owned()),
                _ => sandbox::way_to_listen(address.ip()),
            };
            let what_to_do = what_to_do.map(|what| format!(": {what}")).unwrap_or_default();
            format!("cannot listen on {address} for metrics (`listen` in [metrics]): {error}{what_to_do}")
        })
    }

    #[cfg(test)]
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers. Never ends by itself.
    pub(super) async fn serve<T>(&self, publication: &Publication, agent: &Agent) -> T {
        let address = self.address;
        info!(name: "metrics", %address, "metrics are at http://{address}{METRICS}");
        let executor = Executor::new();
        let connections = &executor;
        executor
            .run(async move {
                let mut open: VecDeque<Task<()>> = VecDeque::new();
                let mut refused = false;
                loop {
                    match self.listener.accept().await {
                        Ok((stream, _)) => {
                            refused = false;
                            open.retain(|connection| !connection.is_finished());
                            if open.len() >= MOST_CONNECTIONS {
                                // Dropped, it is closed.
                                open.pop_front();
                            }
                            open.push_back(connections.spawn(converse(publication, agent, stream)));
                            // Where many come at once, those that are there are attended to all the same.
                            yield_now().await;
                        }
                        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                        Err(error) => {
                            if !std::mem::replace(&mut refused, true) {
                                warn!(name: "no-metrics", "nobody can be answered on {address} for now: {error}");
                            }
                            publication.pause(BETWEEN_TRIES).await;
                        }
                    }
                }
            })
            .await
    }
}

/// Attends to one connection, to its end or its limit.
async fn converse(publication: &Publication, agent: &Agent, stream: Async<TcpStream>) {
    let answer = service_fn(|request| answer(publication, agent, request));
    let mut http = http1::Builder::new();
    http.keep_alive(false).max_buf_size(LARGEST_HEAD);
    let conversation = http.serve_connection(Stream(stream), answer);
    race(vec![
        Box::pin(async {
            if let Err(error) = conversation.await {
                debug!(name: "metrics", "a connection for metrics: {error}");
            }
        }) as BoxFuture<'_, ()>,
        Box::pin(publication.pause(LONGEST_CONNECTION)),
    ])
    .await;
}

async fn answer(
    publication: &Publication,
    agent: &Agent,
    request: Request<Incoming>,
) -> Result<Response<String>, Infallible> {
    let format = match asked(&request) {
        Ok(format) => format,
        Err(refusal) => return Ok(refusal.answer()),
    };
    let metrics = race(vec![
        Box::pin(publication.now(agent, format)) as BoxFuture<'_, Option<String>>,
        Box::pin(async {
            publication.pause(LONGEST_ANSWER).await;
            None
        }),
    ])
    .await;
    Ok(match metrics {
        Some(text) => answer_with(text, format),
        None => Refusal::Unavailable.answer(),
    })
}

/// A socket as hyper wants it.
struct Stream(Async<TcpStream>);

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; 2048];
        let length = into.remaining().min(bytes.len());
        let length = ready!(Pin::new(&mut self.0).poll_read(context, &mut bytes[..length]))?;
        into.put_slice(&bytes[..length]);
        Poll::Ready(Ok(()))
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(context)
    }
}

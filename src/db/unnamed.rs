//! Statements without names, for poolers that give each transaction another connection of the server (`PgBouncer` in
//! transaction mode): what is prepared on one connection is unknown on the next. What the program prepares under a name is
//! remembered here instead of there, and is parsed again with each use, in the same round trip.
//!
//! Source of the messages: `PostgreSQL` documentation, chapter "Frontend/Backend Protocol", protocol 3.0.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use deadpool_postgres::Connect;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, Error, NoTls};

const PORT: u16 = 5432;
/// The most bytes taken in before the server has taken them.
const UNSENT_BYTES_MAX: usize = 256 * 1024;
const READ_BYTES: usize = 16 * 1024;
/// The longest message that the program sends; a larger length is a defect.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Connects to the first host that answers, without TLS, and keeps names from it.
pub(super) struct ConnectUnnamed;

impl Connect for ConnectUnnamed {
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        let config = config.clone();
        Box::pin(async move {
            let stream: Box<dyn Stream> = match open(&config).await {
                Ok(stream) => stream,
                Err(error) => Box::new(Broken(error.kind())),
            };
            let (client, connection) = config.connect_raw(Unnamed::new(stream), NoTls).await?;
            let connection = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a connection to the pooler is lost"
                    );
                }
            });
            Ok((client, connection))
        })
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn open(config: &Config) -> io::Result<Box<dyn Stream>> {
    let mut last = io::ErrorKind::NotFound.into();
    for (place, host) in config.get_hosts().iter().enumerate() {
        let ports = config.get_ports();
        let port = ports.get(place).or(ports.first()).copied().unwrap_or(PORT);
        let opened: io::Result<Box<dyn Stream>> = match host {
            Host::Tcp(name) => match TcpStream::connect((name.as_str(), port)).await {
                Ok(stream) => stream.set_nodelay(true).map(|()| Box::new(stream) as _),
                Err(error) => Err(error),
            },
            Host::Unix(folder) => UnixStream::connect(folder.join(format!(".s.PGSQL.{port}")))
                .await
                .map(|stream| Box::new(stream) as _),
        };
        match opened {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Nobody answers: only the client can make an error of its own kind of that.
struct Broken(io::ErrorKind);

impl AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(self.0.into()))
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(self.0.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(self.0.into()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A connection on which no statement has a name.
struct Unnamed<S> {
    stream: S,
    asked: Asked,
    unsent: Vec<u8>,
    answered: Answered,
    unread: Vec<u8>,
}

/// What the program sends.
#[derive(Default)]
struct Asked {
    partial: Vec<u8>,
    is_started: bool,
    /// Text and types of each statement, by its name.
    statements: HashMap<Vec<u8>, Vec<u8>>,
    expected: VecDeque<Expected>,
}

/// What the server will answer, in its order, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// That a statement is parsed, which the program waits for.
    Parsed,
    /// That one is parsed which the program does not know of.
    ParsedAgain,
    /// That all is done, or given up after an error.
    Ready,
}

/// What the server sends.
#[derive(Default)]
struct Answered {
    partial: Vec<u8>,
    /// Bytes of the message that is passing.
    passing: usize,
}

impl<S> Unnamed<S> {
    fn new(stream: S) -> Unnamed<S> {
        Unnamed {
            stream,
            asked: Asked::default(),
            unsent: Vec::new(),
            answered: Answered::default(),
            unread: Vec::new(),
        }
    }
}

impl Asked {
    /// Takes what the program wrote, and hands on every message that is complete.
    fn take(&mut self, written: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.partial.extend_from_slice(written);
        let partial = std::mem::take(&mut self.partial);
        let mut rest = &partial[..];
        loop {
            // The first message has no tag.
            let tag = usize::from(self.is_started);
            let Some(length) = rest.get(tag..tag + 4) else {
                break;
            };
            let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
            if !(4..=MESSAGE_BYTES_MAX).contains(&length) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let Some(message) = rest.get(..tag + length) else {
                break;
            };
            rest = &rest[tag + length..];
            if self.is_started {
                self.translate(message[0], &message[5..], out)?;
            } else {
                out.extend_from_slice(message);
                self.is_started = true;
                self.expected.push_back(Expected::Ready);
            }
        }
        self.partial = rest.to_vec();
        Ok(())
    }

    fn translate(&mut self, tag: u8, body: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match tag {
            b'P' => {
                let (name, statement) = name(body)?;
                if !name.is_empty() {
                    self.statements.insert(name.to_vec(), statement.to_vec());
                }
                self.expected.push_back(Expected::Parsed);
                send(out, b'P', &[b"\0", statement]);
            }
            b'B' => {
                let (portal, rest) = name(body)?;
                let (name, rest) = name(rest)?;
                if !name.is_empty() {
                    let statement = self.statements.get(name);
                    let statement = statement.ok_or(io::ErrorKind::InvalidData)?;
                    self.expected.push_back(Expected::ParsedAgain);
                    send(out, b'P', &[b"\0", statement]);
                }
                send(out, b'B', &[portal, b"\0\0", rest]);
            }
            b'D' | b'C' if body.first() == Some(&b'S') => {
                let (name, _) = name(&body[1..])?;
                if tag == b'C' {
                    self.statements.remove(name);
                }
                send(out, tag, &[b"S\0"]);
            }
            _ => {
                if matches!(tag, b'S' | b'Q') {
                    self.expected.push_back(Expected::Ready);
                }
                send(out, tag, &[body]);
            }
        }
        Ok(())
    }

    /// Whether the program is to see this answer.
    fn expects(&mut self, tag: u8) -> bool {
        match tag {
            b'1' => self.expected.pop_front() != Some(Expected::ParsedAgain),
            b'Z' => {
                // After an error the rest of its batch is not answered.
                while self
                    .expected
                    .pop_front()
                    .is_some_and(|expected| expected != Expected::Ready)
                {}
                true
            }
            _ => true,
        }
    }
}

/// Up to the first zero byte, and what comes after it.
fn name(body: &[u8]) -> io::Result<(&[u8], &[u8])> {
    let end = body.iter().position(|byte| *byte == 0);
    let end = end.ok_or(io::ErrorKind::InvalidData)?;
    Ok((&body[..end], &body[end + 1..]))
}

fn send(out: &mut Vec<u8>, tag: u8, parts: &[&[u8]]) {
    let length: usize = 4 + parts.iter().map(|part| part.len()).sum::<usize>();
    out.push(tag);
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

impl Answered {
    /// Takes what the server wrote, and hands on what the program is to see.
    fn take(&mut self, written: &[u8], asked: &mut Asked, out: &mut Vec<u8>) {
        self.partial.extend_from_slice(written);
        let partial = std::mem::take(&mut self.partial);
        let mut rest = &partial[..];
        loop {
            let passing = self.passing.min(rest.len());
            out.extend_from_slice(&rest[..passing]);
            self.passing -= passing;
            rest = &rest[passing..];
            let Some(&[tag, a, b, c, d]) = rest.first_chunk::<5>() else {
                break;
            };
            let length = 1 + u32::from_be_bytes([a, b, c, d]) as usize;
            if asked.expects(tag) {
                self.passing = length;
            } else {
                // That a statement is parsed is told in five bytes.
                rest = &rest[5..];
            }
        }
        self.partial = rest.to_vec();
    }
}

impl<S: AsyncWrite + Unpin> Unnamed<S> {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unnamed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        written: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.unsent.len() > UNSENT_BYTES_MAX {
            ready!(this.poll_send(cx))?;
        }
        this.asked.take(written, &mut this.unsent)?;
        Poll::Ready(Ok(written.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Unnamed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.unread.is_empty() {
            let mut bytes = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.answered
                .take(read.filled(), &mut this.asked, &mut this.unread);
        }
        let count = this.unread.len().min(out.remaining());
        out.put_slice(&this.unread[..count]);
        this.unread.drain(..count);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        send(&mut out, tag, parts);
        out
    }

    /// What starts a connection: no tag.
    const START: &[u8] = b"\0\0\0\x08\0\x03\0\0";

    fn conversation() -> (Vec<u8>, Vec<u8>) {
        let prepare = [
            message(b'P', &[b"s1\0select $1\0", b"\0\0"]),
            message(b'D', &[b"Ss1\0"]),
            message(b'S', &[]),
        ];
        let prepared = [
            message(b'P', &[b"\0select $1\0", b"\0\0"]),
            message(b'D', &[b"S\0"]),
            message(b'S', &[]),
        ];
        let run = [
            message(b'B', &[b"\0s1\0", b"values"]),
            message(b'E', &[b"\0\0\0\0\0"]),
            message(b'S', &[]),
            message(b'C', &[b"Ss1\0"]),
            message(b'S', &[]),
            message(b'Q', &[b"begin\0"]),
        ];
        let ran = [
            message(b'P', &[b"\0select $1\0", b"\0\0"]),
            message(b'B', &[b"\0\0", b"values"]),
            message(b'E', &[b"\0\0\0\0\0"]),
            message(b'S', &[]),
            message(b'C', &[b"S\0"]),
            message(b'S', &[]),
            message(b'Q', &[b"begin\0"]),
        ];
        (
            [START.to_vec(), prepare.concat(), run.concat()].concat(),
            [START.to_vec(), prepared.concat(), ran.concat()].concat(),
        )
    }

    fn answers() -> (Vec<u8>, Vec<u8>) {
        let ready = message(b'Z', &[b"I"]);
        let row = message(b'D', &[b"\0\x01\0\0\0\x011"]);
        let prepared = [message(b'1', &[]), message(b't', &[b"\0\0"]), ready.clone()];
        let (sent, seen) = (
            [
                message(b'1', &[]),
                message(b'2', &[]),
                row.clone(),
                ready.clone(),
            ],
            [message(b'2', &[]), row, ready.clone()],
        );
        (
            [ready.clone(), prepared.concat(), sent.concat()].concat(),
            [ready, prepared.concat(), seen.concat()].concat(),
        )
    }

    proptest! {
        /// However the bytes are cut.
        #[test]
        fn no_name_reaches_the_server_and_no_answer_of_ours_the_program(
            piece in 1_usize..40,
        ) {
            let (mut asked, mut out) = (Asked::default(), Vec::new());
            let (written, expected) = conversation();
            for piece in written.chunks(piece) {
                asked.take(piece, &mut out).unwrap();
            }
            prop_assert_eq!(out, expected);
            let (mut answered, mut out) = (Answered::default(), Vec::new());
            let (written, expected) = answers();
            for piece in written.chunks(piece) {
                answered.take(piece, &mut asked, &mut out);
            }
            prop_assert_eq!(out, expected);
        }
    }

    #[test]
    fn after_an_error_the_next_answers_are_told_apart_again() {
        let mut asked = Asked::default();
        let mut out = Vec::new();
        let (written, _) = conversation();
        asked.take(&written, &mut out).unwrap();
        let ready = message(b'Z', &[b"I"]);
        let prepared = [message(b'1', &[]), ready.clone()].concat();
        // The statement is refused when it is parsed again: neither that nor anything after it is answered.
        let refused = [message(b'E', &[b"SERROR\0\0"]), ready.clone()].concat();
        let (mut answered, mut out) = (Answered::default(), Vec::new());
        let signed_in = ready.clone();
        let written = [signed_in, prepared, refused].concat();
        answered.take(&written, &mut asked, &mut out);
        assert_eq!(out, written);
        assert_eq!(asked.expected, [Expected::Ready, Expected::Ready]);
    }
}

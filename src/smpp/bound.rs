//! One bound connection: requests out within a window, their answers by sequence number, deliveries in.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rusmpp::pdus::SubmitSm;
use rusmpp::{CommandId, CommandStatus, Pdu};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::pdu::{self, BadPdu, Frame, Submit};

/// How long a request may wait for its answer; after that nobody knows what became of it.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long a PDU may take to leave: a peer that reads nothing is as good as gone.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// How long what is under way may take to end when the service stops, and how long the peer has for the farewell.
const DRAIN_MAX: Duration = Duration::from_secs(10);
const FAREWELL_MAX: Duration = Duration::from_secs(2);
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(500);
/// Deliveries worked on at once; more of them wait in the network.
const DELIVERIES_MAX: usize = 64;
/// PDUs received and not yet looked at.
const FRAMES_MAX: usize = 64;

/// The way to an SMSC, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("we stop")]
    Stopped,
    #[error("the SMSC unbound")]
    Unbound,
    #[error("the SMSC closed the connection")]
    Closed,
    #[error("the SMSC does not answer")]
    Silent,
    #[error("no connection: {0}")]
    Unreached(std::io::Error),
    #[error("the connection broke")]
    Broken(#[source] std::io::Error),
    #[error("the SMSC sent what cannot be read")]
    Unreadable(#[source] BadPdu),
    #[error("the SMSC refused to bind: status {0:#x}")]
    Refused(u32),
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Submitted {
    /// The SMSC said so.
    Answered {
        status: CommandStatus,
        message_id: String,
    },
    /// It never left.
    NotSent,
    /// It left, and no answer came.
    Lost(&'static str),
}

/// A request on its way to the wire. Its permit goes back to the window with its answer.
pub(super) struct Request {
    pub(super) submit: Submit,
    pub(super) answer: oneshot::Sender<Submitted>,
    pub(super) permit: OwnedSemaphorePermit,
}

/// Takes what is delivered and says how it is acknowledged.
pub(super) type Receiver =
    Arc<dyn Fn(Frame) -> Pin<Box<dyn Future<Output = CommandStatus> + Send>> + Send + Sync>;

/// A connection that was greeted.
pub(super) struct Bound {
    writer: WriteHalf<Box<dyn Stream>>,
    frames: mpsc::Receiver<Result<Frame, Ended>>,
    reader: tokio::task::JoinHandle<()>,
    sequence: u32,
    pending: HashMap<u32, Pending>,
    enquire_every: Duration,
    heard_at: Instant,
    enquired_at: Option<Instant>,
}

struct Pending {
    answer: oneshot::Sender<Submitted>,
    until: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Bound {
    /// Signs in.
    pub(super) async fn bind(
        stream: Box<dyn Stream>,
        greeting: impl Into<Pdu>,
        enquire_every: Duration,
    ) -> Result<Bound, Ended> {
        let (reader, writer) = split(stream);
        let (sender, frames) = mpsc::channel(FRAMES_MAX);
        let mut bound = Bound {
            writer,
            frames,
            reader: tokio::spawn(read(reader, sender)),
            sequence: 0,
            pending: HashMap::new(),
            enquire_every,
            heard_at: Instant::now(),
            enquired_at: None,
        };
        let sequence = bound.next();
        bound
            .write(&pdu::encode(CommandStatus::EsmeRok, sequence, greeting))
            .await?;
        let answer = async {
            loop {
                let frame = bound.frames.recv().await.unwrap_or(Err(Ended::Closed))?;
                if frame.sequence == sequence && frame.is_response() {
                    return Ok(frame.status);
                }
            }
        };
        match timeout(ANSWER_MAX, answer)
            .await
            .unwrap_or(Err(Ended::Silent))?
        {
            CommandStatus::EsmeRok => Ok(bound),
            refused => Err(Ended::Refused(refused.into())),
        }
    }

    /// Works until the connection is over. `idle` tells whether anybody still means to send something.
    pub(super) async fn serve(
        mut self,
        requests: &mut mpsc::Receiver<Request>,
        receive: Receiver,
        idle: impl Fn() -> bool,
        stop: &mut watch::Receiver<bool>,
    ) -> Ended {
        let ended = self.work(requests, receive, idle, stop).await;
        let ended = ended.err().unwrap_or(Ended::Stopped);
        // What waits was not sent; what was sent has lost its answer.
        requests.close();
        while let Ok(request) = requests.try_recv() {
            request.answer.send(Submitted::NotSent).ok();
        }
        for (_, pending) in self.pending.drain() {
            pending.answer.send(Submitted::Lost("connection_lost")).ok();
        }
        if matches!(ended, Ended::Stopped) {
            timeout(FAREWELL_MAX, self.unbind()).await.ok();
        }
        ended
    }

    /// Ends well when the service stops.
    async fn work(
        &mut self,
        requests: &mut mpsc::Receiver<Request>,
        receive: Receiver,
        idle: impl Fn() -> bool,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), Ended> {
        let mut deliveries = JoinSet::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop_by = None;
        loop {
            tokio::select! {
                frame = self.frames.recv(), if deliveries.len() < DELIVERIES_MAX => {
                    let frame = frame.unwrap_or(Err(Ended::Closed))?;
                    self.heard_at = Instant::now();
                    self.enquired_at = None;
                    if let Some(delivery) = self.take(frame).await? {
                        let receive = receive.clone();
                        deliveries.spawn(async move {
                            let sequence = delivery.sequence;
                            (sequence, receive(delivery).await)
                        });
                    }
                }
                Some(done) = deliveries.join_next() => {
                    // One that broke down is not acknowledged: the SMSC delivers it again.
                    if let Ok((sequence, status)) = done {
                        self.write(&pdu::delivered(status, sequence)).await?;
                    }
                }
                request = requests.recv() => match request {
                    Some(request) => self.submit(request).await?,
                    None => return Err(Ended::Closed),
                },
                _ = tick.tick() => self.look_at_the_clock().await?,
                () = stopped(stop), if stop_by.is_none() => {
                    stop_by = Some(Instant::now() + DRAIN_MAX);
                }
            }
            if let Some(by) = stop_by {
                let done = self.pending.is_empty() && deliveries.is_empty() && idle();
                if done || Instant::now() >= by {
                    return Ok(());
                }
            }
        }
    }

    async fn submit(&mut self, request: Request) -> Result<(), Ended> {
        let sequence = self.next();
        let wire = pdu::encode(
            CommandStatus::EsmeRok,
            sequence,
            SubmitSm::from(&request.submit),
        );
        let pending = Pending {
            answer: request.answer,
            until: Instant::now() + ANSWER_MAX,
            _permit: request.permit,
        };
        self.pending.insert(sequence, pending);
        self.write(&wire).await
    }

    /// Answers what can be answered at once, and gives back what is to be received.
    async fn take(&mut self, frame: Frame) -> Result<Option<Frame>, Ended> {
        let answer = |id, status| pdu::encode_bare(id, status, frame.sequence);
        let wire = match frame.id {
            CommandId::DeliverSm => return Ok(Some(frame)),
            CommandId::EnquireLink => answer(CommandId::EnquireLinkResp, CommandStatus::EsmeRok),
            CommandId::Unbind => {
                self.write(&answer(CommandId::UnbindResp, CommandStatus::EsmeRok))
                    .await?;
                return Err(Ended::Unbound);
            }
            // Needs no answer.
            CommandId::AlertNotification => return Ok(None),
            _ if frame.is_response() => {
                if let Some(pending) = self.pending.remove(&frame.sequence) {
                    let answered = Submitted::Answered {
                        status: refusal(&frame),
                        message_id: frame.message_id(),
                    };
                    pending.answer.send(answered).ok();
                }
                return Ok(None);
            }
            _ => answer(CommandId::GenericNack, CommandStatus::EsmeRinvcmdid),
        };
        self.write(&wire).await?;
        Ok(None)
    }

    async fn look_at_the_clock(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        let late: Vec<u32> = self
            .pending
            .iter()
            .filter(|(_, pending)| now >= pending.until)
            .map(|(sequence, _)| *sequence)
            .collect();
        for sequence in late {
            if let Some(pending) = self.pending.remove(&sequence) {
                pending.answer.send(Submitted::Lost("timeout")).ok();
            }
        }
        match self.enquired_at {
            Some(at) if now - at >= ANSWER_MAX => return Err(Ended::Silent),
            None if now - self.heard_at >= self.enquire_every => {
                self.enquired_at = Some(now);
                let sequence = self.next();
                let wire =
                    pdu::encode_bare(CommandId::EnquireLink, CommandStatus::EsmeRok, sequence);
                self.write(&wire).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn unbind(&mut self) {
        let sequence = self.next();
        let wire = pdu::encode_bare(CommandId::Unbind, CommandStatus::EsmeRok, sequence);
        if self.write(&wire).await.is_err() {
            return;
        }
        while let Some(Ok(frame)) = self.frames.recv().await {
            if frame.id == CommandId::UnbindResp {
                break;
            }
        }
        self.writer.shutdown().await.ok();
    }

    async fn write(&mut self, wire: &[u8]) -> Result<(), Ended> {
        match timeout(WRITE_MAX, self.writer.write_all(wire)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Ended::Broken(error)),
            Err(_) => Err(Ended::Silent),
        }
    }

    /// From 1 to 0x7FFFFFFF and round again. Source: SMPP 3.4, §3.2.
    fn next(&mut self) -> u32 {
        self.sequence = self.sequence % 0x7fff_ffff + 1;
        self.sequence
    }
}

/// The service stops.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|stop| *stop).await.ok();
}

/// A nack that says nothing is a refusal all the same.
fn refusal(frame: &Frame) -> CommandStatus {
    match (frame.id, frame.status) {
        (CommandId::GenericNack, CommandStatus::EsmeRok) => CommandStatus::EsmeRunknownerr,
        (_, status) => status,
    }
}

async fn read(mut reader: ReadHalf<Box<dyn Stream>>, frames: mpsc::Sender<Result<Frame, Ended>>) {
    let mut received = BytesMut::new();
    loop {
        let taken = match Frame::take(&mut received) {
            Ok(None) => match reader.read_buf(&mut received).await {
                Ok(0) => Err(Ended::Closed),
                Ok(_) => continue,
                Err(error) => Err(Ended::Broken(error)),
            },
            Ok(Some(frame)) => Ok(frame),
            Err(bad) => Err(Ended::Unreadable(bad)),
        };
        let over = taken.is_err();
        if frames.send(taken).await.is_err() || over {
            return;
        }
    }
}

//! From the calls of one request to the text of their answers: who may, who is turned away, who is asked, and in which order it goes out.

use std::{sync::Arc, time::Duration};

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    access::Caller,
    answer_room::{AnswerRoom, HeldAnswers},
    batch::Kept,
    class::Class,
    grading::Grading,
    limits::Limits,
    metrics,
    rpc::{Rpc, no_reply},
    shed::{PlaceTaken, Places, Pressure},
    text::Text,
};
use crate::{
    gateway::{MethodPolicy, Refusal, RpcCall, Served, ServedBy, Session, admit},
    jsonrpc::{Asked, ErrorCode, RpcError, StrictCall, StrictIncoming},
};

/// Who answered: an upstream's name, `cache` or `gateway`; several for a batch, each once.
const UPSTREAM: HeaderName = HeaderName::from_static("x-relaymux-upstream");
/// How long it took here, in milliseconds. Source: W3C Server Timing.
const TIMING: HeaderName = HeaderName::from_static("server-timing");
/// Up to here parameters are copied, so that a small part which is kept does not keep a whole body.
const COPIED: usize = 64 << 10;
/// How long the gateway may be late with its own error, before it is given up.
const GRACE: Duration = Duration::from_secs(1);
/// When whoever was turned away may come again.
const AGAIN: Duration = Duration::from_secs(1);

/// What calls are served by.
#[derive(Clone)]
pub(super) struct Calls {
    pub(super) rpc: Arc<dyn Rpc>,
    pub(super) limits: Arc<Limits>,
    /// What is served.
    pub(super) methods: Arc<MethodPolicy>,
    pub(super) places: Places,
    pub(super) pressure: watch::Receiver<Pressure>,
    pub(super) grading: Grading,
    pub(super) deadline: Duration,
    /// Most bytes of all answers of a batch together.
    pub(super) max_answer: usize,
}

/// How a request came.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way<'a> {
    /// One after the other on a connection, whose task does nothing else meanwhile.
    Http,
    /// Many at once on a connection, whose task may wait for the client to read: what they hold must end all the same, and their answers have so
    /// much room.
    Websocket(&'a AnswerRoom),
}

/// What becomes of one call before anybody is asked.
enum Fate {
    /// It is passed on.
    Asked { call: RpcCall, class: Class, place: PlaceTaken },
    /// It cannot be read.
    Wrong(RpcError),
    /// Its client asks too much.
    Limited(Duration),
    /// There is too much.
    Shed(Class),
}

impl Calls {
    /// Answers a request.
    pub(super) async fn serve(
        &self,
        incoming: StrictIncoming<'_>,
        body: &Bytes,
        caller: &Caller,
        session: &Session,
        way: Way<'_>,
    ) -> Said {
        let (calls, is_batch) = match incoming {
            StrictIncoming::One(call) => (vec![call], false),
            StrictIncoming::Batch(calls) => (calls, true),
        };
        let (ids, fates): (Vec<_>, Vec<_>) = calls
            .into_iter()
            .map(|call| ((call.id, call.is_notification()), self.fate(call, body, caller)))
            .unzip();
        metrics::show_in_flight(self.places.taken());
        let mut said = Said::default();
        let (mut asked, mut places, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        let outcomes: Vec<Option<RpcError>> = fates
            .into_iter()
            .map(|fate| match fate {
                Fate::Asked { call, class, place } => {
                    asked.push(call);
                    classes.push(class);
                    places.push(place);
                    None
                }
                Fate::Wrong(error) => Some(error),
                Fate::Limited(wait) => {
                    said.limited = said.limited.max(Some(wait));
                    Some(limited())
                }
                Fate::Shed(class) => {
                    said.is_shed = true;
                    self.grading.shed();
                    let message = format!("too busy for a {} call: try again in a second", class.label());
                    Some(RpcError::new(ErrorCode::LimitExceeded, message))
                }
            })
            .collect();
        said.is_any_asked = !asked.is_empty();
        let (replies, held, elapsed) = self.ask(asked, &classes, is_batch, session, places, way).await;
        said.held = held;
        metrics::show_in_flight(self.places.taken());
        for (class, reply) in classes.iter().zip(&replies) {
            self.grading.answered(*class, reply, elapsed);
        }
        said.write(ids, outcomes, replies, is_batch)
    }

    /// Charges calls of a client; the service itself has no rate.
    ///
    /// # Errors
    /// How long until it may ask again, when it asks too much.
    pub(super) fn charge(&self, caller: &Caller, calls: usize) -> Result<(), Duration> {
        if caller.is_own {
            return Ok(());
        }
        (0..calls)
            .try_for_each(|_| self.limits.charge(&caller.client))
            .inspect_err(|_| metrics::note_rate_limited())
    }

    /// Charges a call of a client's that is answered elsewhere.
    ///
    /// # Errors
    /// When it asks too much, or the configuration refuses the method.
    pub(super) fn admit(&self, method: &str, caller: &Caller) -> Result<(), RpcError> {
        self.charge(caller, 1).map_err(|_| limited())?;
        match admit(method, &self.methods) {
            Err(Refusal::Denied) => {
                let message = format!(
                    "the method {method} is not served: the configuration of this gateway refuses it ([rpc] deny_methods)"
                );
                Err(RpcError::new(ErrorCode::MethodNotFound, message))
            }
            // Whoever answers it knows the rest.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn fate(&self, call: StrictCall<'_>, body: &Bytes, caller: &Caller) -> Fate {
        // What cannot be read costs as much as what can.
        if let Err(wait) = self.charge(caller, 1) {
            return Fate::Limited(wait);
        }
        let Asked { method, params } = match call.asked {
            Ok(asked) => asked,
            Err(error) => return Fate::Wrong(error),
        };
        let class = match Class::of(&method) {
            // What the service itself asks, it needs: what was paid is proven by traces.
            Class::Heavy if caller.is_own => Class::Read,
            class => class,
        };
        let pressure = *self.pressure.borrow();
        let Some(place) = self.places.take(class, pressure) else {
            metrics::note_shed(class);
            return Fate::Shed(class);
        };
        let params = params.map_or_else(|| Bytes::from_static(b"[]"), |params| slice(body, params));
        Fate::Asked { call: RpcCall::new(method.into_owned(), params), class, place }
    }

    /// Has calls answered, as many answers as calls; and how long that took.
    ///
    /// Whoever waits for the answers may be busy with a client that does not read: the work is a task of its own, so that its places are given
    /// back by the deadline whatever becomes of the client.
    async fn ask(
        &self,
        calls: Vec<RpcCall>,
        classes: &[Class],
        is_batch: bool,
        session: &Session,
        places: Vec<PlaceTaken>,
        way: Way<'_>,
    ) -> (Vec<Served>, Option<HeldAnswers>, Duration) {
        let wanted = calls.len();
        if wanted == 0 {
            return (Vec::new(), None, Duration::ZERO);
        }
        let (rpc, session) = (Arc::clone(&self.rpc), session.clone());
        let began = Instant::now();
        let until = began + self.deadline;
        let classed: Vec<(RpcCall, Class)> = calls.into_iter().zip(classes.iter().copied()).collect();
        let max_answer = self.max_answer;
        let room = match way {
            Way::Http => None,
            Way::Websocket(room) => Some((room.clone(), classes.to_vec())),
        };
        let asking = async move {
            let _places = places;
            let mut kept = Kept::new(max_answer);
            let answers = async {
                match <[(RpcCall, Class); 1]>::try_from(classed) {
                    Ok([(call, _)]) if !is_batch => kept.replies.push(rpc.call(call, &session, until).await),
                    Ok(one) => kept.ask(&*rpc, one.into(), &session, until).await,
                    Err(classed) => kept.ask(&*rpc, classed, &session, until).await,
                }
            };
            let _ = timeout_at(until + GRACE, answers).await;
            // Here, as nobody may look for a while whether there are answers.
            let held = room.map(|(room, classes)| room.hold(&mut kept.replies, &classes));
            (kept.replies, held, began.elapsed())
        };
        let came = if classes.contains(&Class::Send) {
            // A client that hangs up has sent its transaction all the same: it goes to every upstream, or to none.
            tokio::spawn(asking).await
        } else {
            match way {
                // Nothing else waits in this task, and another one costs a wake-up.
                Way::Http => Ok(asking.await),
                Way::Websocket(_) => AbortOnDropHandle::new(tokio::spawn(asking)).await,
            }
        };
        let (mut replies, held, elapsed) = came.unwrap_or_else(|_| (Vec::new(), None, began.elapsed()));
        // Never fewer answers than calls, whatever went wrong.
        replies.resize_with(wanted, no_reply);
        (replies, held, elapsed)
    }
}

fn limited() -> RpcError {
    let message = "you ask more calls a second than one client may: see [rpc] max_requests_per_second";
    RpcError::new(ErrorCode::LimitExceeded, message)
}

/// The parameters of a call. Of a large body a slice; else a copy, which keeps nothing of the rest.
fn slice(body: &Bytes, params: &RawValue) -> Bytes {
    let text = params.get().as_bytes();
    if text.len() > COPIED { body.slice_ref(text) } else { Bytes::copy_from_slice(text) }
}

/// What is said in answer to one request.
#[derive(Default)]
pub(super) struct Said {
    text: Text,
    is_silent: bool,
    by: Vec<String>,
    limited: Option<Duration>,
    is_shed: bool,
    is_any_asked: bool,
    /// Its share of the room for answers that wait.
    held: Option<HeldAnswers>,
}

impl Said {
    /// A whole request of a client that asks too much.
    pub(super) fn limited(wait: Duration) -> Self {
        Self { limited: Some(wait), ..Self::error(&limited()) }
    }

    /// One error for a whole request.
    pub(super) fn error(error: &RpcError) -> Self {
        let mut said = Self::default();
        said.text.error(None, error);
        said.by.push(ServedBy::Gateway.name().to_owned());
        said
    }

    fn write(
        mut self,
        ids: Vec<(Option<&RawValue>, bool)>,
        outcomes: Vec<Option<RpcError>>,
        replies: Vec<Served>,
        is_batch: bool,
    ) -> Self {
        let mut replies = replies.into_iter();
        let mut written = 0_usize;
        if is_batch {
            self.text.begin_list();
        }
        for ((id, is_notification), outcome) in ids.into_iter().zip(outcomes) {
            let reply = if outcome.is_none() { replies.next() } else { None };
            self.note_by(reply.as_ref().map_or(&ServedBy::Gateway, |reply| &reply.by));
            // Whoever sent no id wants no answer, not even that there was too much.
            if is_notification {
                continue;
            }
            if written > 0 {
                self.text.next();
            }
            written += 1;
            match (outcome, reply) {
                (Some(error), _) => self.text.error(id, &error),
                (None, Some(reply)) => self.text.answer(id, &reply.answer),
                (None, None) => self.text.answer(id, &no_reply().answer),
            }
        }
        if is_batch {
            self.text.end_list();
        }
        self.is_silent = written == 0;
        self
    }

    fn note_by(&mut self, by: &ServedBy) {
        if !self.by.iter().any(|known| known == by.name()) {
            self.by.push(by.name().to_owned());
        }
    }

    /// As the message of a websocket; none where there is nothing to say.
    pub(super) fn into_bytes(self) -> Option<Bytes> {
        let text = (!self.is_silent).then(|| self.text.into_bytes())?;
        Some(match self.held {
            Some(held) => held.keep(text),
            None => text,
        })
    }

    /// As an HTTP answer. As with geth, an error of a call's own has the status 200; 429 and 503 are for requests of which nothing was asked.
    pub(super) fn into_response(self, elapsed: Duration) -> Response {
        let status = match (self.is_any_asked, self.limited, self.is_shed) {
            (false, Some(_), _) => StatusCode::TOO_MANY_REQUESTS,
            (false, None, true) => StatusCode::SERVICE_UNAVAILABLE,
            _ if self.is_silent => StatusCode::NO_CONTENT,
            _ => StatusCode::OK,
        };
        let mut response = if self.is_silent {
            status.into_response()
        } else {
            (status, [(header::CONTENT_TYPE, "application/json")], self.text.into_body()).into_response()
        };
        let headers = response.headers_mut();
        if let Ok(by) = HeaderValue::from_str(&self.by.join(", ")) {
            headers.insert(UPSTREAM, by);
        }
        let micros = u32::try_from(elapsed.as_micros()).unwrap_or(u32::MAX);
        if let Ok(timing) = HeaderValue::from_str(&format!("total;dur={:.3}", f64::from(micros) / 1000.0)) {
            headers.insert(TIMING, timing);
        }
        let again = self.is_shed.then_some(AGAIN).max(self.limited);
        if let Some(again) = again {
            // Whole seconds, and never before it is time.
            let seconds = again.as_millis().div_ceil(1000).max(1);
            headers.insert(header::RETRY_AFTER, u64::try_from(seconds).unwrap_or(1).into());
        }
        response
    }
}

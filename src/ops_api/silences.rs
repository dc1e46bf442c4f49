//! `/api/v1/alerts/silences`: alerts that nobody is told of for a time, in the shape of Alertmanager's API.

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    alerts::{desk_error, who},
    body,
    state::{Api, Shared},
};
use crate::{
    alerts::{DeskError, MatchOperator, Matcher, Silence, SilenceKind},
    serve::ApiError,
    types::{UnixMillis, labelled},
};

/// Longest comment that is taken, in characters.
const MAX_COMMENT: usize = 500;

/// A matcher as Alertmanager writes it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MatcherJson {
    name: String,
    value: String,
    #[serde(default)]
    is_regex: bool,
    /// Older clients leave it out.
    #[serde(default = "yes")]
    is_equal: bool,
}

const fn yes() -> bool {
    true
}

impl MatcherJson {
    fn of(matcher: &Matcher) -> Self {
        let (name, operator, value) = matcher.parts();
        Self {
            name: name.to_owned(),
            value: value.to_owned(),
            is_regex: matches!(operator, MatchOperator::Matches | MatchOperator::DoesNotMatch),
            is_equal: matches!(operator, MatchOperator::Equal | MatchOperator::Matches),
        }
    }

    fn read(&self) -> Result<Matcher, ApiError> {
        let operator = match (self.is_equal, self.is_regex) {
            (true, false) => MatchOperator::Equal,
            (false, false) => MatchOperator::NotEqual,
            (true, true) => MatchOperator::Matches,
            (false, true) => MatchOperator::DoesNotMatch,
        };
        if self.name.is_empty() {
            return Err(ApiError::bad_request("a matcher has no name of a label"));
        }
        Matcher::new(&self.name, operator, &self.value)
            .map_err(|error| ApiError::bad_request(error.to_string()))
    }
}

labelled! {
    /// Whether a silence holds.
    enum SilenceState {
        /// It holds.
        Active = "active",
        /// It is to come.
        Pending = "pending",
        /// It is over.
        Expired = "expired",
    }
}

#[derive(Debug, PartialEq, Serialize)]
struct StatusJson {
    state: SilenceState,
}

/// A silence as Alertmanager writes it, and what is ours.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SilenceView {
    id: String,
    status: StatusJson,
    matchers: Vec<MatcherJson>,
    starts_at: String,
    ends_at: String,
    created_by: String,
    comment: String,
    updated_at: String,
    /// `silence`: somebody made it; `maintenance`: a window of the configuration.
    kind: SilenceKind,
    /// Whether it names a rule: no other hides an alert of P1.
    #[serde(rename = "hides_p1")]
    hides_p1: bool,
}

impl SilenceView {
    fn of(silence: &Silence, now: UnixMillis) -> Self {
        let state = match silence {
            _ if silence.is_active(now) => SilenceState::Active,
            _ if silence.starts_at > now => SilenceState::Pending,
            _ => SilenceState::Expired,
        };
        Self {
            id: silence.id.clone(),
            status: StatusJson { state },
            matchers: silence.matchers.iter().map(MatcherJson::of).collect(),
            starts_at: rfc3339(silence.starts_at),
            ends_at: rfc3339(silence.ends_at),
            created_by: silence.created_by.clone(),
            comment: silence.comment.clone(),
            updated_at: rfc3339(silence.made_at),
            kind: silence.kind,
            hides_p1: silence.matchers.iter().any(|matcher| matcher.exact_value_of("alertname").is_some()),
        }
    }
}

/// What is posted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SilenceJson {
    /// Of a silence that is to be changed.
    #[serde(default)]
    id: Option<String>,
    matchers: Vec<MatcherJson>,
    /// Now, where it does not say.
    #[serde(default)]
    starts_at: Option<String>,
    ends_at: String,
    #[serde(default)]
    created_by: Option<String>,
    #[serde(default)]
    comment: Option<String>,
}

impl SilenceJson {
    fn read(self, new_id: String, now: UnixMillis) -> Result<Silence, ApiError> {
        if self.matchers.is_empty() {
            return Err(ApiError::bad_request("a silence needs at least one matcher"));
        }
        let matchers = self.matchers.iter().map(MatcherJson::read).collect::<Result<_, _>>()?;
        let starts_at = match &self.starts_at {
            Some(text) => time("startsAt", text)?,
            None => now,
        };
        let ends_at = time("endsAt", &self.ends_at)?;
        if ends_at <= now {
            return Err(ApiError::bad_request("endsAt is past: the silence would hide nothing"));
        }
        let comment = self.comment.unwrap_or_default();
        let comment = comment.chars().filter(|char| !char.is_control()).take(MAX_COMMENT).collect();
        Ok(Silence {
            id: self.id.filter(|id| !id.is_empty()).unwrap_or(new_id),
            kind: SilenceKind::Silence,
            matchers,
            starts_at,
            ends_at,
            created_by: who(self.created_by.as_deref(), "the API"),
            comment,
            made_at: now,
        })
    }
}

fn time(name: &str, text: &str) -> Result<UnixMillis, ApiError> {
    let at = text.parse::<Timestamp>().map(Timestamp::as_millisecond);
    at.map_err(|_| ApiError::bad_request(format!("{name}: expected a time such as 2026-11-28T05:00:00Z")))
}

fn rfc3339(at: UnixMillis) -> String {
    Timestamp::from_millisecond(at).map(|at| at.to_string()).unwrap_or_default()
}

/// `GET /api/v1/alerts/silences`: those that hold and those to come.
pub(super) async fn silences_list(State(api): Api) -> Json<Vec<SilenceView>> {
    let now = api.clock.now();
    let snapshot = api.alerts.snapshot();
    Json(snapshot.silences.iter().map(|silence| SilenceView::of(silence, now)).collect())
}

/// `POST /api/v1/alerts/silences`: makes one, or changes the one of its `id`.
pub(super) async fn silence_new(
    State(api): Api,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    api.access.check_change(&headers)?;
    let asked: SilenceJson = body::json(&headers, body).await?;
    let asked_id = asked.id.clone();
    let silence = asked.read(format!("{:032x}", rand::random::<u128>()), api.clock.now())?;
    let id = silence.id.clone();
    let is_change = asked_id.is_some_and(|id| !id.is_empty());
    check_not_of_configuration(&api, &id)?;
    if is_change && api.alerts.snapshot().silences.iter().all(|known| known.id != id) {
        return Err(unknown_silence(&id));
    }
    api.alerts.silence(silence).await.map_err(|error| desk_error(&error))?;
    Ok(Json(json!({ "silenceID": id })).into_response())
}

/// `DELETE /api/v1/alerts/silences/{id}`
pub(super) async fn silence_end(
    State(api): Api,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    api.access.check_change(&headers)?;
    check_not_of_configuration(&api, &id)?;
    match api.alerts.end_silence(&id).await {
        Ok(()) => Ok(Json(json!({ "silenceID": id })).into_response()),
        Err(DeskError::Unknown) => Err(unknown_silence(&id)),
        Err(error) => Err(desk_error(&error)),
    }
}

/// A window of the configuration is changed there.
fn check_not_of_configuration(api: &Shared, id: &str) -> Result<(), ApiError> {
    let snapshot = api.alerts.snapshot();
    let is_window = |known: &Silence| known.id == id && matches!(known.kind, SilenceKind::Maintenance);
    if snapshot.silences.iter().any(is_window) {
        let message = "this is a window of [[alerts.maintenance]]: change it in the configuration, which is followed while the service runs";
        return Err(ApiError::new(StatusCode::CONFLICT, message));
    }
    Ok(())
}

fn unknown_silence(id: &str) -> ApiError {
    let shown: String = id.chars().take(64).collect();
    let message =
        format!("no silence `{shown}` holds or is to come: GET /api/v1/alerts/silences has their ids");
    ApiError::new(StatusCode::NOT_FOUND, message)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const NOW: i64 = 1_795_845_600_000;

    /// As `amtool silence add` sends it.
    fn sample() -> Value {
        json!({
            "matchers": [{"name": "alertname", "value": "disk_full", "isRegex": false, "isEqual": true},
                         {"name": "subject", "value": "/data.*", "isRegex": true}],
            "startsAt": "2026-11-28T06:00:00.000Z", "endsAt": "2026-11-28T08:00:00.000Z",
            "createdBy": "anna", "comment": "moving disks",
        })
    }

    fn read(json: Value) -> Result<Silence, ApiError> {
        serde_json::from_value::<SilenceJson>(json).unwrap().read("new".to_owned(), NOW)
    }

    #[test]
    fn a_silence_of_alertmanagers_is_understood_and_shown_as_it_came() {
        let silence = read(sample()).unwrap();
        assert_eq!((silence.starts_at, silence.ends_at), (NOW, NOW + 7_200_000));
        assert_eq!(
            silence.matchers,
            ["alertname=\"disk_full\"".parse().unwrap(), "subject=~\"/data.*\"".parse().unwrap()]
        );
        let shown = serde_json::to_value(SilenceView::of(&silence, NOW)).unwrap();
        assert_eq!((&shown["id"], &shown["status"]["state"]), (&"new".into(), &"active".into()));
        assert_eq!((&shown["endsAt"], &shown["hides_p1"]), (&"2026-11-28T08:00:00Z".into(), &true.into()));
        assert_eq!(
            shown["matchers"][1],
            json!({"name": "subject", "value": "/data.*", "isRegex": true, "isEqual": true})
        );
        for (now, state) in [(NOW - 1, "pending"), (NOW + 7_200_000, "expired")] {
            assert_eq!(SilenceView::of(&silence, now).status.state.label(), state);
        }
    }

    #[test]
    fn every_operator_goes_there_and_back() {
        for text in ["a=\"b\"", "a!=\"b\"", "a=~\"b\"", "a!~\"b\""] {
            let matcher: Matcher = text.parse().unwrap();
            assert_eq!(MatcherJson::of(&matcher).read().unwrap(), matcher);
        }
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Value), want: &str) {
        let mut json = sample();
        change(&mut json);
        let error = read(json).unwrap_err();
        assert_eq!(error.status(), 400);
        assert!(format!("{error:?}").contains(want), "{error:?}");
    }

    #[test]
    fn what_would_hide_nothing_or_everything_is_refused() {
        refused(|json| json["matchers"] = json!([]), "at least one");
        refused(|json| json["matchers"][0]["name"] = "".into(), "no name");
        refused(|json| json["matchers"][1]["value"] = "(".into(), "regular expression");
        refused(|json| json["endsAt"] = "2026-11-28T06:00:00Z".into(), "past");
        refused(|json| json["endsAt"] = "soon".into(), "endsAt: expected");
        refused(|json| json["startsAt"] = "now".into(), "startsAt: expected");
    }
}

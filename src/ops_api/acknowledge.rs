//! The page behind the links in messages that acknowledge. Opening it acknowledges nothing, as services that show a link's preview open it; its button
//! does. The signed token is the permission, to read this page as well: people tap it on a phone that has no other token.

use axum::{
    Json,
    body::Body,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    alert_views::sentence,
    alerts::{desk_error, who},
    body,
    state::{Api, Shared},
};
use crate::{
    alerts::{
        AckTarget, Alert, DeskError, Snapshot,
        ack_link::{AckLinkError, verify},
    },
    serve::ApiError,
};

/// Alerts shown on the page.
const SHOWN: usize = 20;
/// Who acknowledged, where nobody says.
const SOMEBODY: &str = "a link in a message";

/// What the page says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Page<'a> {
    status: StatusCode,
    heading: &'static str,
    words: String,
    alerts: Vec<&'a Alert>,
    /// Whether there is something to acknowledge.
    has_button: bool,
}

impl<'a> Page<'a> {
    /// What an incident looks like to whoever tapped its link.
    fn of(incident: &str, snapshot: &'a Snapshot) -> Self {
        let alerts = snapshot.alerts.iter().map(|view| &view.alert);
        let alerts: Vec<&Alert> =
            alerts.filter(|alert| alert.is_of(incident) && alert.phase.is_active()).collect();
        let open = alerts.iter().filter(|alert| alert.acknowledged.is_none()).count();
        let (heading, words) = match (alerts.as_slice(), open) {
            ([], _) => (
                "It is over",
                "Nothing that this message told of lasts. There is nothing to acknowledge.".to_owned(),
            ),
            (taken, 0) => {
                let by = taken
                    .iter()
                    .find_map(|alert| alert.acknowledged.as_ref())
                    .map_or("Somebody", |by| by.by.as_str());
                ("Somebody takes care of it", format!("{by} acknowledged it already. It lasts still."))
            }
            ([_], _) => ("Do you take care of it?", "Once you do, nobody else is woken for it.".to_owned()),
            _ => ("Do you take care of these?", "Once you do, nobody else is woken for them.".to_owned()),
        };
        Self { status: StatusCode::OK, heading, words, alerts, has_button: open > 0 }
    }

    fn refused(error: AckLinkError) -> Self {
        let (heading, status) = match error {
            AckLinkError::Expired => ("This link has expired", status_of(error)),
            AckLinkError::Invalid => ("This link does not work", status_of(error)),
        };
        let words =
            "Open the alerts and acknowledge there, with the admin token. Nothing was changed.".to_owned();
        Self { status, heading, words, alerts: Vec::new(), has_button: false }
    }

    fn html(&self) -> String {
        let mut alerts: String = self.alerts.iter().take(SHOWN).map(|alert| item(alert)).collect();
        if let Some(more) = self.alerts.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            alerts.push_str(&format!("<li class=\"P4\">and {more} more</li>"));
        }
        let form = "<form id=\"form\"><label>Your name, for the others<input maxlength=\"80\" autocomplete=\"name\"></label>\
                    <button>I take care of it</button></form>";
        let mut html = String::new();
        for part in include_str!("acknowledge.html").split("{{") {
            let (name, rest) = part.split_once("}}").unwrap_or(("", part));
            match name {
                "heading" => html.push_str(self.heading),
                "words" => html.push_str(&escape(&self.words)),
                "alerts" => html.push_str(&alerts),
                "form" if self.has_button => html.push_str(form),
                _ => {}
            }
            html.push_str(rest);
        }
        html
    }
}

impl IntoResponse for Page<'_> {
    fn into_response(self) -> Response {
        let mut response = (self.status, Html(self.html())).into_response();
        // The address has the token: it is neither kept nor told to whoever is linked.
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

fn item(alert: &Alert) -> String {
    let (level, what) = (alert.severity.label(), escape(&sentence(alert)));
    format!("<li class=\"{level}\"><strong><b>{level}</b>{what}</strong>{}</li>", escape(&alert.message))
}

/// Text as it stands between tags.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn status_of(error: AckLinkError) -> StatusCode {
    match error {
        AckLinkError::Expired => StatusCode::GONE,
        AckLinkError::Invalid => StatusCode::FORBIDDEN,
    }
}

/// The incident of a token. Where links are not turned on, none is ours.
fn incident(api: &Shared, token: &str) -> Result<String, AckLinkError> {
    let key = api.ack_key.as_ref().ok_or(AckLinkError::Invalid)?;
    verify(key, token, api.clock.now())
}

#[derive(Debug, Deserialize)]
pub(super) struct Tapped {
    #[serde(default)]
    token: String,
}

/// `GET /alerts/acknowledge?token=`
pub(super) async fn acknowledge_page(
    State(api): Api,
    query: Result<Query<Tapped>, QueryRejection>,
) -> Response {
    let token = query.map(|Query(tapped)| tapped.token).unwrap_or_default();
    match incident(&api, &token) {
        Ok(incident) => Page::of(&incident, &api.alerts.snapshot()).into_response(),
        Err(error) => Page::refused(error).into_response(),
    }
}

#[derive(Debug, Deserialize)]
struct Pressed {
    token: String,
    #[serde(default)]
    by: Option<String>,
}

/// `POST /api/v1/alerts/acknowledge`, with `{"token": "…", "by": "name"}`.
pub(super) async fn acknowledge_incident(
    State(api): Api,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let Pressed { token, by } = body::json(&headers, body).await?;
    let incident =
        incident(&api, &token).map_err(|error| ApiError::new(status_of(error), error.to_string()))?;
    let by = who(by.as_deref(), SOMEBODY);
    match api.alerts.acknowledge(AckTarget::Incident(incident), &by).await {
        Ok(acknowledged) => Ok(Json(json!({ "acknowledged": acknowledged, "by": by })).into_response()),
        Err(DeskError::Unknown) => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "nothing that this message told of lasts: there is nothing to acknowledge",
        )),
        Err(error) => Err(desk_error(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alerts::ack_link::{AckKey, sign},
        ops_api::alert_views::made,
    };

    const INCIDENT: &str = "P1-relays-1-5";

    fn snapshot() -> Snapshot {
        let mut snapshot = made::snapshot(2);
        for view in &mut snapshot.alerts {
            view.alert.told = Some(made::told(INCIDENT));
        }
        snapshot
    }

    #[test]
    fn the_page_asks_and_says_what_it_is_about() {
        let snapshot = snapshot();
        let page = Page::of(INCIDENT, &snapshot);
        assert_eq!((page.status, page.alerts.len(), page.has_button), (StatusCode::OK, 2, true));
        let html = page.html();
        assert!(html.contains("Do you take care of these?") && html.contains("<form id=\"form\">"), "{html}");
        assert!(!html.contains("{{") && !html.contains("}}"), "{html}");
        let other = Page::of("P1-relays-2-5", &snapshot);
        assert_eq!((other.heading, other.has_button), ("It is over", false));
    }

    #[test]
    fn what_is_taken_care_of_has_no_button() {
        let mut snapshot = snapshot();
        for view in &mut snapshot.alerts {
            view.alert.acknowledged = Some(made::acknowledged("anna"));
        }
        let page = Page::of(INCIDENT, &snapshot);
        assert!(page.words.starts_with("anna acknowledged it already"));
        assert!(!page.html().contains("<form"));
    }

    #[test]
    fn whatever_an_alert_says_is_no_markup() {
        let mut snapshot = snapshot();
        snapshot.alerts[0].alert.message = "<script>alert('x')</script> {{form}} & \"".to_owned();
        let html = Page::of(INCIDENT, &snapshot).html();
        assert!(
            html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; {{form}} &amp; &quot;"),
            "{html}"
        );
        assert_eq!(html.matches("<script>").count(), 1, "the page's own");
    }

    #[test]
    fn many_alerts_are_a_page_still() {
        let mut snapshot = made::snapshot(1);
        snapshot.alerts[0].alert.told = Some(made::told(INCIDENT));
        let many = vec![snapshot.alerts[0].clone(); 500];
        let snapshot = Snapshot { alerts: many, ..snapshot };
        let html = Page::of(INCIDENT, &snapshot).html();
        assert_eq!(html.matches("<li class").count(), SHOWN + 1);
        assert!(html.contains("and 480 more"));
    }

    #[test]
    fn a_link_that_expired_is_gone_and_one_of_others_is_forbidden() {
        let (ours, theirs) = (AckKey::new([1; 32]), AckKey::new([2; 32]));
        let token = sign(&ours, INCIDENT, 100);
        for (key, now, status) in [(&ours, 99, None), (&ours, 100, Some(410)), (&theirs, 99, Some(403))] {
            let error = verify(key, &token, now).err();
            assert_eq!(error.map(|error| status_of(error).as_u16()), status);
            assert_eq!(error.map(|error| Page::refused(error).status.as_u16()), status);
        }
    }
}

//! Through which gateways a call has come, so that one which comes back is known, over however many others it went: what `Via` is for proxies (RFC 9110,
//! 7.6.3). The header is one of our own, as some servers answer what came by a `Via` without compression.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header: ids of gateways, the first one first, with commas between.
pub const HOP: HeaderName = HeaderName::from_static("x-relaymux-hop");

/// Most gateways that a call may have come through, and most bytes of their ids. Arbitrary: nobody has so many one behind the other.
const MOST: usize = 16;
const MOST_BYTES: usize = 1024;

/// The ids of the gateways that a call has come through. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hops(Option<Arc<str>>);

impl Hops {
    /// Those that a call's headers name; `None` where they are too many, or cannot be read: such a call goes in circles, or is not to be trusted.
    pub fn read(headers: &HeaderMap) -> Option<Self> {
        let mut ids: Vec<&str> = Vec::new();
        for value in headers.get_all(HOP) {
            ids.extend(value.to_str().ok()?.split(',').map(str::trim).filter(|id| !id.is_empty()));
        }
        let bytes: usize = ids.iter().map(|id| id.len() + 2).sum();
        if ids.len() > MOST || bytes > MOST_BYTES {
            return None;
        }
        Some(Self((!ids.is_empty()).then(|| ids.join(", ").into())))
    }

    /// Whether a call has come through the gateway with this id.
    pub fn has(&self, id: &HeaderValue) -> bool {
        self.0.iter().flat_map(|ids| ids.split(", ")).any(|one| one.as_bytes() == id.as_bytes())
    }

    /// Whether it has come through any.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The header of a call that has come through these, and is passed on by the gateway with this id; `None`: it has come through none.
    pub(super) fn before(&self, own: Option<&HeaderValue>) -> Option<HeaderValue> {
        let ids = self.0.as_ref()?;
        let own = own.and_then(|own| own.to_str().ok());
        let all = own.map_or_else(|| ids.to_string(), |own| format!("{ids}, {own}"));
        HeaderValue::try_from(all).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<Hops> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HOP, HeaderValue::from_str(value).unwrap());
        }
        Hops::read(&headers)
    }

    #[test]
    fn whoever_a_call_came_through_is_known_and_told_to_the_next() {
        let own = HeaderValue::from_static("own");
        for (values, has, next) in [
            (&[][..], false, None),
            (&[" , "], false, None),
            (&["a"], false, Some("a, own")),
            (&["a,b", "c"], false, Some("a, b, c, own")),
            (&["a, own , b"], true, Some("a, own, b, own")),
            // No part of an id is one.
            (&["myown, ow"], false, Some("myown, ow, own")),
        ] {
            let hops = read(values).unwrap();
            assert_eq!((hops.has(&own), hops.is_empty()), (has, next.is_none()), "{values:?}");
            assert_eq!(hops.before(Some(&own)), next.map(HeaderValue::from_static), "{values:?}");
        }
        assert_eq!(read(&["a"]).unwrap().before(None), Some(HeaderValue::from_static("a")));
    }

    #[test]
    fn there_is_an_end_to_it() {
        let many = |count: usize| vec!["id"; count].join(",");
        assert!(read(&[&many(MOST)]).is_some() && read(&[&many(MOST + 1)]).is_none());
        assert!(read(&[&"x".repeat(MOST_BYTES)]).is_none());
        let mut headers = HeaderMap::new();
        headers.append(HOP, HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(Hops::read(&headers), None);
    }
}

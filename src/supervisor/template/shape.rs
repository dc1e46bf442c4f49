//! What the functions of the kinds have in common: the shape that they fill, and the keys that several of them need.

use url::Url;

use super::{
    super::launch::Protocol,
    input::{Lack, Template},
};

/// Where data is seen inside, of every kind but one.
pub(super) const DATA: &str = "/data";
/// Where the engine's secret is seen inside.
pub(super) const JWT: &str = "/jwt";

/// What a kind is like inside its container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// The program, where the image does not start it by itself.
    pub(super) entrypoint: Option<&'static str>,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(&'static str, &'static str)>,
    /// Where its data is seen.
    pub(super) data: &'static str,
    pub(super) rpc: u16,
    pub(super) ws: Option<u16>,
    pub(super) engine: Option<u16>,
    pub(super) metrics: Option<u16>,
    /// Ports of peers: the same inside and outside, as it tells peers the one inside.
    pub(super) p2p: Vec<(u16, Protocol)>,
}

/// Collects what is missing.
#[derive(Debug, Default)]
pub(super) struct Lacks(pub(super) Vec<Lack>);

impl Lacks {
    pub(super) fn say(&mut self, key: &'static str, message: impl Into<String>, hint: impl Into<String>) {
        self.0.push(Lack::of(key, message, hint));
    }

    /// A key that has to be there.
    pub(super) fn need<'a, T>(
        &mut self,
        value: Option<&'a T>,
        key: &'static str,
        message: &str,
        hint: &str,
    ) -> Option<&'a T> {
        if value.is_none() {
            self.say(key, message, hint);
        }
        value
    }

    /// The engine's secret, on both ends of a pair.
    pub(super) fn jwt(&mut self, template: &Template) {
        self.need(
            template.jwt_file.as_ref(),
            "jwt_file",
            "is missing: the two halves of an execution and consensus pair know each other by it",
            "make it with `relaymux secrets jwt FILE`, and give both halves the same jwt_file",
        );
    }

    /// Data, without which everything is gone with the container.
    pub(super) fn data(&mut self, template: &Template) {
        self.need(
            template.data.as_ref(),
            "data",
            "is missing: the container's own files are read-only, and would be gone with it",
            "give the folder of the host for its database, such as data = \"/data/geth\"",
        );
    }
}

/// An address as clients want it: without a slash at its end.
pub(super) fn address(url: Option<&Url>) -> String {
    url.map_or("", Url::as_str).trim_end_matches('/').to_owned()
}

/// The texts, owned.
pub(super) fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).into()
}

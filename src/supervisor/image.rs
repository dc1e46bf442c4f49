//! Names of images: `registry/name:tag@sha256:…`.

use std::fmt;

/// An image that is the same one tomorrow: by a tag that is none of those which move, or by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    text: String,
    name: String,
    tag: Option<String>,
}

/// Why an image is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// It is no name of an image.
    #[error("is no name of an image")]
    Malformed,
    /// It has neither a tag nor a digest.
    #[error("has neither a tag nor a digest: Docker would take `latest`, which is another image tomorrow")]
    Unpinned,
    /// Its tag is one that moves with each release.
    #[error("is pinned by nothing: its tag moves with each release")]
    Moving,
}

/// Longest name.
const MAX_BYTES: usize = 255;
/// Tags that move with each release, of any of the clients' images.
const MOVING: [&str; 12] = [
    "latest",
    "stable",
    "nightly",
    "edge",
    "main",
    "master",
    "develop",
    "unstable",
    "next",
    "release",
    "latest-unstable",
    "multiarch-latest",
];

impl Image {
    /// Parses a name.
    ///
    /// # Errors
    /// When it is no name, or not pinned.
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b);
        if text.is_empty() || text.len() > MAX_BYTES || !text.bytes().all(allowed) || text.starts_with('-') {
            return Err(ImageError::Malformed);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let is_digest = |digest: &str| {
            digest
                .strip_prefix("sha256:")
                .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(ImageError::Malformed);
        }
        // A colon before the last slash is of the registry's port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if name.is_empty() || name.ends_with('/') || tag.is_some_and(str::is_empty) {
            return Err(ImageError::Malformed);
        }
        match (digest, tag) {
            (None, None) => return Err(ImageError::Unpinned),
            (None, Some(tag)) if MOVING.contains(&tag) => return Err(ImageError::Moving),
            (Some(_), _) | (None, Some(_)) => {}
        }
        Ok(Self { text: text.to_owned(), name: name.to_owned(), tag: tag.map(str::to_owned) })
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The tag, where it has one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Whether its name, without registry, tag and digest, has a word in it.
    pub fn is_of(&self, word: &str) -> bool {
        self.name.to_ascii_lowercase().contains(word)
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_pinned_or_refused() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (text, want) in [
            ("ethereum/client-go:v1.16.7".to_owned(), Ok(Some("v1.16.7"))),
            (format!("ethereum/client-go@{digest}"), Ok(None)),
            (format!("ethereum/client-go:latest@{digest}"), Ok(Some("latest"))),
            ("localhost:5000/geth:1".to_owned(), Ok(Some("1"))),
            ("ethereum/client-go".to_owned(), Err(ImageError::Unpinned)),
            ("localhost:5000/geth".to_owned(), Err(ImageError::Unpinned)),
            ("ethereum/client-go:latest".to_owned(), Err(ImageError::Moving)),
            ("ethereum/client-go:stable".to_owned(), Err(ImageError::Moving)),
            ("ethereum/client-go:".to_owned(), Err(ImageError::Malformed)),
            ("ethereum/client-go@sha256:12".to_owned(), Err(ImageError::Malformed)),
            (":v1".to_owned(), Err(ImageError::Malformed)),
            ("--privileged:v1".to_owned(), Err(ImageError::Malformed)),
            ("a b:v1".to_owned(), Err(ImageError::Malformed)),
            (String::new(), Err(ImageError::Malformed)),
        ] {
            let got = Image::parse(&text);
            assert_eq!(got.as_ref().map(Image::tag).map_err(|error| *error), want, "{text}");
            assert!(got.is_err() || got.unwrap().as_str() == text);
        }
        assert!(Image::parse("us-docker.pkg.dev/x/OP-geth:v1").unwrap().is_of("op-geth"));
    }
}

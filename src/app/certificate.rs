//! When certificates end. Pure.
//!
//! Of a certificate (RFC 5280) only the end of its validity is read; nothing here says whether it is good. The DER around it is walked and not
//! understood: a library that knows all of X.509 brings ten crates for one date.

use jiff::civil::DateTime;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::types::UnixMillis;

/// Tags of ASN.1.
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`: the version, which the oldest certificates do not have.
const VERSION: u8 = 0xa0;

/// When the first certificate of a PEM file ends, in Unix milliseconds: a chain is good for no longer.
///
/// # Errors
/// In words, when there is none, or one that cannot be read.
pub(super) fn first_end(pem: &[u8]) -> Result<UnixMillis, String> {
    let mut first = None;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| "it is no PEM file".to_owned())?;
        let end = end(&certificate).ok_or_else(|| "a certificate in it cannot be read".to_owned())?;
        first = Some(first.map_or(end, |first: UnixMillis| first.min(end)));
    }
    first.ok_or_else(|| "there is no certificate in it".to_owned())
}

/// `notAfter` of a certificate in DER.
fn end(der: &[u8]) -> Option<UnixMillis> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut fields, _) = expect(certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        (_, fields) = expect(fields, VERSION)?;
    }
    // Serial number, algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        (_, fields) = expect(fields, tag)?;
    }
    let (validity, _) = expect(fields, SEQUENCE)?;
    let (_, _, not_after) = element(validity)?;
    let (tag, text, _) = element(not_after)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// An element of this tag, and what follows it.
fn expect(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(der)?;
    (found == tag).then_some((content, rest))
}

/// The first element: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        // So many bytes of length follow; a certificate of more than 16 MiB is none.
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

fn time(tag: u8, text: &str) -> Option<UnixMillis> {
    let text = match tag {
        // RFC 5280: 50 and later are of the last century.
        UTC_TIME => {
            let century = if text.get(..2)?.parse::<u8>().ok()? >= 50 { "19" } else { "20" };
            format!("{century}{text}")
        }
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let at = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    at.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn pem(year: i32) -> String {
        let mut params = CertificateParams::new(vec!["box.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 3, 4);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn the_first_end_of_a_chain_counts() {
        // One before 2050 is written in two digits, one after in four.
        let (soon, late) = (pem(2027), pem(2060));
        assert_eq!(first_end(soon.as_bytes()), Ok(1_804_118_400_000));
        assert_eq!(first_end(late.as_bytes()), Ok(2_845_584_000_000));
        assert_eq!(first_end(format!("{late}\n{soon}").as_bytes()), Ok(1_804_118_400_000));
    }

    #[test]
    fn what_is_no_certificate_is_said_to_be_none() {
        let key = KeyPair::generate().unwrap().serialize_pem();
        for text in ["", "hello", &key] {
            assert_eq!(first_end(text.as_bytes()), Err("there is no certificate in it".to_owned()));
        }
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(first_end(broken.as_bytes()), Err("a certificate in it cannot be read".to_owned()));
        assert_eq!(time(UTC_TIME, "991231235959Z"), Some(946_684_799_000));
        for text in ["2712", "20271301000000Z", "20270304000000+0100", "é70304000000Z"] {
            assert_eq!(time(GENERALIZED_TIME, text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn damaged_certificates_are_no_panic(at in 0..300_usize, byte: u8, cut in 0..300_usize) {
            let pem = pem(2027);
            let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            let mut der = der.to_vec();
            let length = der.len();
            der[at % length] = byte;
            der.truncate(length - cut % length);
            let _ = end(&der);
        }
    }
}

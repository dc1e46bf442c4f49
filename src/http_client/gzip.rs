//! Unpacks a body while it comes, never beyond what it may be.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

use super::HttpFailure;

/// A packed body on its way.
pub(super) struct Unpacking {
    decoder: MultiGzDecoder<Bounded>,
    /// Packed bytes that came.
    came: usize,
}

/// Takes bytes up to a limit, and fails at the first beyond it.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    is_exceeded: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(self.limit - self.bytes.len());
        self.bytes.extend_from_slice(bytes.get(..fits).unwrap_or_default());
        if fits < bytes.len() {
            self.is_exceeded = true;
            return Err(io::Error::other("larger than it may be"));
        }
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Unpacking {
    /// One that may unpack to `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        let bounded = Bounded { bytes: Vec::new(), limit, is_exceeded: false };
        Self { decoder: MultiGzDecoder::new(bounded), came: 0 }
    }

    /// Takes the next packed bytes.
    ///
    /// # Errors
    /// When they are no gzip, or the body is larger than it may be, packed or unpacked: a stream of empty blocks has no end either.
    pub(super) fn push(&mut self, packed: &[u8]) -> Result<(), HttpFailure> {
        self.came += packed.len();
        let result = self.decoder.write_all(packed);
        result.map_err(|error| self.failure(&error))?;
        let limit = self.decoder.get_ref().limit;
        if self.came > limit { Err(HttpFailure::TooLarge { limit }) } else { Ok(()) }
    }

    /// The whole body. One of no bytes at all is empty, whatever its label.
    ///
    /// # Errors
    /// As [`Unpacking::push`], and when it is cut off.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, HttpFailure> {
        if self.came > 0 {
            let result = self.decoder.try_finish();
            result.map_err(|error| self.failure(&error))?;
        }
        Ok(std::mem::take(&mut self.decoder.get_mut().bytes))
    }

    /// What it unpacked to, up to the limit, though it may be broken or not at its end.
    pub(super) fn so_far(mut self) -> Vec<u8> {
        // Whether it ends as it should does not matter to a part of it.
        let _ = self.decoder.try_finish();
        std::mem::take(&mut self.decoder.get_mut().bytes)
    }

    fn failure(&self, error: &io::Error) -> HttpFailure {
        let Bounded { limit, is_exceeded, .. } = *self.decoder.get_ref();
        if is_exceeded {
            HttpFailure::TooLarge { limit }
        } else {
            HttpFailure::Broken(format!("gzip: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(body: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_body_is_unpacked_however_it_is_cut() {
        let body: Vec<u8> = (0..5000_u16).flat_map(u16::to_le_bytes).collect();
        let twice = packed(&body).repeat(2);
        for size in [1, 7, 20, twice.len()] {
            let mut unpacking = Unpacking::new(20_000);
            twice.chunks(size).for_each(|chunk| unpacking.push(chunk).unwrap());
            assert!(unpacking.finish().unwrap() == body.repeat(2), "{size}");
        }
    }

    #[test]
    fn neither_what_unpacks_nor_what_comes_goes_beyond_the_limit() {
        let bomb = packed(&vec![0; 1 << 20]);
        let mut unpacking = Unpacking::new(1000);
        assert!(matches!(unpacking.push(&bomb), Err(HttpFailure::TooLarge { limit: 1000 })));
        assert_eq!(unpacking.so_far().len(), 1000);
        // Members that unpack to nothing, without end.
        let nothing = packed(b"");
        let mut unpacking = Unpacking::new(1000);
        let mut pushed = (0..1000).map(|_| unpacking.push(&nothing));
        assert!(pushed.any(|result| matches!(result, Err(HttpFailure::TooLarge { limit: 1000 }))));
    }

    #[test]
    fn a_body_that_is_cut_off_is_told_and_its_start_kept() {
        let packed = packed(b"a start");
        let (start, _) = packed.split_at(packed.len() - 4);
        let pushed = || {
            let mut unpacking = Unpacking::new(1000);
            unpacking.push(start).unwrap();
            unpacking
        };
        assert!(matches!(pushed().finish(), Err(HttpFailure::Broken(_))));
        assert_eq!(pushed().so_far(), b"a start");
        assert_eq!(Unpacking::new(1000).finish().unwrap(), b"");
    }
}

//! SHA-256 sums of what is read.

use std::io::{self, Read};

use aws_lc_rs::digest::{Context as Digest, SHA256};

/// A SHA-256 sum.
pub(super) type Sum = [u8; 32];

/// Sums up what is read.
pub(super) struct Summed<R> {
    input: R,
    digest: Digest,
}

impl<R: Read> Summed<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, digest: Digest::new(&SHA256) }
    }

    /// The sum of all that was read.
    pub(super) fn finish(self) -> Sum {
        let mut sum = [0; 32];
        sum.copy_from_slice(self.digest.finish().as_ref());
        sum
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.input.read(buffer)?;
        self.digest.update(buffer.get(..bytes).unwrap_or(&[]));
        Ok(bytes)
    }
}

/// The sum of this many bytes. Fewer are an error.
pub(super) fn sum_of(input: impl Read, bytes: u64) -> io::Result<Sum> {
    let mut summed = Summed::new(input.take(bytes));
    if io::copy(&mut summed, &mut io::sink())? < bytes {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter"));
    }
    Ok(summed.finish())
}

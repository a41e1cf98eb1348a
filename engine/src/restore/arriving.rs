//! Cuts the bytes of a pack, which arrive piece by piece, into the frames that are needed.

use std::ops::{ControlFlow, Range};

use super::plan::Part;
use crate::repo::FrameNumber;

/// Bytes of a pack that are needed.
pub struct Awaited<'p> {
    /// Where they are in the pack.
    pub range: Range<usize>,
    /// What they are.
    pub what: Needed<'p>,
}

/// What is needed of a pack.
#[derive(Clone, Copy)]
pub enum Needed<'p> {
    /// Its header.
    Header,
    /// A frame.
    Frame {
        /// Its number.
        number: FrameNumber,
        /// What is needed from it.
        parts: &'p [Part],
    },
}

impl<'p> Awaited<'p> {
    /// The parts of files that are in it: none in the header.
    pub fn parts(&self) -> &'p [Part] {
        match self.what {
            Needed::Header => &[],
            Needed::Frame { parts, .. } => parts,
        }
    }
}

/// What has arrived so far.
pub struct Arriving<'a, 'p> {
    /// What hasn't arrived yet, in order.
    rest: &'a [Awaited<'p>],
    /// Where in the pack the next byte to arrive is.
    at: usize,
    /// The beginning of the next part, as far as it has arrived.
    held: &'a mut Vec<u8>,
}

impl<'a, 'p> Arriving<'a, 'p> {
    /// Nothing has arrived; the first byte will be the one at `at`. `held` is memory to use.
    pub fn new(awaited: &'a [Awaited<'p>], at: usize, held: &'a mut Vec<u8>) -> Self {
        held.clear();
        Self { rest: awaited, at, held }
    }

    /// Takes the next piece, and calls `complete` for each part that it completes.
    pub fn take(
        &mut self,
        mut piece: &[u8],
        complete: &mut dyn FnMut(&'a Awaited<'p>, &[u8]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        while let Some((next, rest)) = self.rest.split_first() {
            // What lies between isn't needed.
            let skipped = next.range.start.saturating_sub(self.at).min(piece.len());
            self.at += skipped;
            piece = &piece[skipped..];
            let missing = next.range.end.saturating_sub(self.at);
            if piece.len() < missing {
                self.at += piece.len();
                self.held.extend_from_slice(piece);
                return ControlFlow::Continue(());
            }
            let (here, behind) = piece.split_at(missing);
            self.at += missing;
            self.rest = rest;
            piece = behind;
            let flow = if self.held.is_empty() {
                complete(next, here)
            } else {
                self.held.extend_from_slice(here);
                let flow = complete(next, self.held);
                self.held.clear();
                flow
            };
            flow?;
        }
        ControlFlow::Break(())
    }

    /// What hasn't arrived.
    pub fn rest(self) -> &'a [Awaited<'p>] {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::{Arriving, Awaited, Needed};
    use std::ops::{ControlFlow, Range};

    const WANTED: [Range<usize>; 4] = [10..14, 14..15, 20..29, 29..30];

    /// What is complete after bytes from 8 on have come in pieces of this length.
    fn complete(length: usize, upto: u8) -> (Vec<Vec<u8>>, usize) {
        let wanted = WANTED.map(|range| Awaited { range, what: Needed::Header });
        let (mut held, mut found) = (Vec::new(), Vec::new());
        let mut arriving = Arriving::new(&wanted, 8, &mut held);
        let bytes: Vec<u8> = (8..upto).collect();
        for piece in bytes.chunks(length) {
            let flow = arriving.take(piece, &mut |awaited, bytes| {
                assert_eq!(awaited.range.len(), bytes.len());
                found.push(bytes.to_vec());
                ControlFlow::Continue(())
            });
            if flow.is_break() {
                break;
            }
        }
        let rest = arriving.rest().len();
        (found, rest)
    }

    #[test]
    fn however_it_comes_the_same_is_complete() {
        let expected: Vec<Vec<u8>> =
            WANTED.iter().map(|range| (0..40).collect::<Vec<u8>>()[range.clone()].to_vec()).collect();
        for length in 1..30 {
            assert_eq!(complete(length, 40), (expected.clone(), 0), "pieces of {length}");
            assert_eq!(complete(length, 29), (expected[..3].to_vec(), 1), "pieces of {length}");
            assert_eq!(complete(length, 28), (expected[..2].to_vec(), 2), "pieces of {length}");
        }
    }
}

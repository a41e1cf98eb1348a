//! A picture that lies in a dump.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{self, Read};

use crate::context::{Context, Progress};
use crate::error::{Result, SourceError};
use crate::files::Files;

use super::FILE;
use super::reader::{Keys, Part, Reader};
use super::seal::{Seal, Sealed};

/// How many bytes are read at once.
const PIECE_BYTES: usize = 256 << 10;

/// A picture that was read once, and is whole.
pub struct Stored {
    /// Its end.
    pub sealed: Sealed,
    /// Its keys, or why they couldn't be counted.
    pub keys: Result<BTreeMap<u64, Keys>, String>,
    /// Its length.
    pub bytes: u64,
}

/// Its length, as the dump says it.
pub fn length(files: &dyn Files) -> Result<u64> {
    let list = files.list().map_err(|source| SourceError::Transfer { object: FILE.to_owned(), source })?;
    let found = list.into_iter().find(|file| file.path == FILE);
    found.map(|file| file.bytes).ok_or_else(|| wrong("it isn't there"))
}

/// Reads all of it, and hands each piece to `copy`. A picture that isn't whole is an error.
pub fn read(
    files: &dyn Files,
    copy: &mut dyn FnMut(&[u8]) -> Result<()>,
    context: &Context<'_>,
) -> Result<Stored> {
    let (mut seal, mut reader) = (Seal::new(), Reader::counting());
    let bytes = pieces(files, "reading", context, &mut |piece| {
        seal.feed(piece);
        let Ok(()) = reader.feed::<Infallible>(piece, &mut |_| Ok(()));
        copy(piece)
    })?;
    Ok(Stored { sealed: seal.finish().map_err(|why| wrong(&why))?, keys: reader.finish(), bytes })
}

/// Hands out keys, values and functions of one that is whole.
pub fn parts(
    files: &dyn Files,
    each: &mut dyn FnMut(Part) -> Result<()>,
    context: &Context<'_>,
) -> Result<()> {
    let mut reader = Reader::keeping();
    pieces(files, "keys", context, &mut |piece| {
        reader.feed(piece, each)?;
        reader.lost().map_or(Ok(()), |why| Err(wrong(why)))
    })?;
    reader.finish().map(|_| ()).map_err(|why| wrong(&why))
}

fn pieces(
    files: &dyn Files,
    phase: &'static str,
    context: &Context<'_>,
    each: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<u64> {
    let failed = |source| SourceError::Transfer { object: FILE.to_owned(), source };
    let total = length(files)?;
    let mut input = files.open(FILE).map_err(failed)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut done = 0;
    loop {
        if context.cancel.is_cancelled() {
            return Err(SourceError::Cancelled);
        }
        let count = match input.read(&mut piece) {
            Ok(0) => return Ok(done),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        each(&piece[..count])?;
        done += u64::try_from(count).unwrap_or_default();
        (context.progress)(Progress { phase, object: FILE, done, total: Some(total) });
    }
}

/// The picture isn't what it should be.
pub fn wrong(why: &str) -> SourceError {
    SourceError::Dump { object: FILE.to_owned(), why: why.to_owned() }
}

//! Makes a dump as it might look a night later: copies standard input to standard output and changes one row
//! in a hundred. A line with tabs is assumed to be a row. The argument is the number of the night, on which
//! the choice of rows and the changes depend.

use std::io::{self, BufRead, Write};

/// One row in this many is changed.
const ROWS: u64 = 100;

fn main() -> io::Result<()> {
    let night: u64 = std::env::args().nth(1).and_then(|night| night.parse().ok()).unwrap_or(1);
    let mut input = io::BufReader::with_capacity(1 << 20, io::stdin().lock());
    let mut output = io::BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let mut line = Vec::new();
    for number in 0.. {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let chance = mix(night.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
        if chance.is_multiple_of(ROWS) && line.contains(&b'\t') {
            // Change the last digit of the row, so that its length stays the same.
            if let Some(digit) = line.iter_mut().rev().find(|byte| byte.is_ascii_digit()) {
                *digit = b'0' + (*digit - b'0' + 1 + chance.to_le_bytes()[4] % 9) % 10;
            }
        }
        output.write_all(&line)?;
    }
    output.flush()
}

/// SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on every bit of the number.
fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

//! Amounts of money.

use crate::decode::{Context, Decode, substituted};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::code::Code;
use crate::schema::Shape;
use crate::tree::{Node, Value};

/// Digits behind the point, at most.
const DIGITS: usize = 6;
/// Millionths of an amount, at most: that of a billion.
const MICROS_MAX: u64 = 1_000_000_000_000_000;

/// An amount of money, exact: in millionths of its currency. A fraction of two can't be most prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money {
    /// Millionths.
    pub micros: u64,
}

impl Money {
    /// The amount that a decimal number says; nothing if it is negative, too large or has too many digits behind the point.
    fn read(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let fraction = fraction.trim_end_matches('0');
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(fraction) || fraction.len() > DIGITS {
            return None;
        }
        let micros = format!("{whole}{fraction:0<DIGITS$}").parse().ok();
        micros.filter(|micros| *micros <= MICROS_MAX).map(|micros| Self { micros })
    }
}

impl Decode for Money {
    fn shape() -> Shape {
        Shape::Number
    }

    fn decode(node: &Node, context: &mut Context<'_>) -> Option<Self> {
        let text = match &node.value {
            // The shortest decimal number that is this one: what was written, as long as that is an amount.
            Value::Number(number) => Some(format!("{number}")),
            Value::Integer(number) => Some(number.to_string()),
            _ => substituted(node).map(str::to_owned),
        };
        let Some(text) = text else {
            context.wrong_kind(node, &Self::shape());
            return None;
        };
        let money = Self::read(&text);
        if money.is_none() {
            let message =
                "this must be an amount of money: 0 to 1000000000, with at most 6 digits behind the point";
            context.tell(Diagnostic::new(Code::Range, message).at(node.origin));
        }
        money
    }
}

#[cfg(test)]
mod tests {
    use super::Money;

    #[test]
    fn amounts_are_exact() {
        let micros = |text: &str| Money::read(text).map(|money| money.micros);
        assert_eq!(
            ["0.023", "0.09", "12", "0", "0.000001", "1000000000", "0.0230000000"].map(micros),
            [
                Some(23_000),
                Some(90_000),
                Some(12_000_000),
                Some(0),
                Some(1),
                Some(1_000_000_000_000_000),
                Some(23_000)
            ]
        );
        for wrong in
            ["", "-1", "0.0000001", "1000000001", "1e3", ".5", "1.2.3", "NaN", "inf", "99999999999999999999"]
        {
            assert_eq!(micros(wrong), None, "{wrong}");
        }
        // As a number in a file is read.
        for written in [0.023_f64, 0.09, 0.005_99, 123_456.789_012] {
            assert_eq!(micros(&format!("{written}")), micros(&format!("{written:.6}")), "{written}");
        }
    }
}

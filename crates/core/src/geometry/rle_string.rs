//! COCO's compressed form of a mask: its runs as text.
//!
//! A number is written in digits of 5 bits, the lowest first, of which all but the last have a sixth bit set; the fifth bit of
//! the last one is the sign. A digit is a character from `0` on. From the fourth run on it is the difference to the run
//! before the last that is written: objects have columns of like heights.

use super::Rle;
use crate::{Error, Result};

/// The first character.
const ZERO: u8 = b'0';
/// The value of a digit.
const DIGIT: u8 = 0x1F;
/// Set in a digit that is followed by another.
const MORE: u8 = 0x20;
/// Set in the last digit of a negative number.
const SIGN: u8 = 0x10;
/// Bits that no number of a mask needs: it is a difference of two 32-bit numbers.
const TOO_LONG: u32 = 35;

impl Rle {
    /// The mask of COCO's compressed `counts`, in an image of `height` × `width`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a character that is no digit, a number that does not end or is no run's length, or runs that do
    /// not add up to the image.
    pub fn from_compressed(height: u32, width: u32, text: &str) -> Result<Self> {
        let mut runs: Vec<u32> = Vec::new();
        let mut digits = text.bytes().enumerate().peekable();
        while let Some(&(place, _)) = digits.peek() {
            let mut number = number(&mut digits)?;
            if runs.len() > 2 {
                number += i64::from(runs[runs.len() - 2]);
            }
            let run = u32::try_from(number);
            runs.push(run.map_err(|_| fail(format_args!("{number} at byte {place}"), "the length of a run"))?);
        }
        Self::new(height, width, runs)
    }

    /// COCO's compressed `counts`.
    pub fn to_compressed(&self) -> String {
        let mut text = String::new();
        for (i, &run) in self.runs().iter().enumerate() {
            let before = if i > 2 { self.runs()[i - 2] } else { 0 };
            let mut number = i64::from(run) - i64::from(before);
            loop {
                let digit = (number & i64::from(DIGIT)) as u8;
                number >>= 5;
                let is_last = number == if digit & SIGN == 0 { 0 } else { -1 };
                text.push(char::from(ZERO + digit + if is_last { 0 } else { MORE }));
                if is_last {
                    break;
                }
            }
        }
        text
    }
}

/// Reads one number.
fn number(digits: &mut impl Iterator<Item = (usize, u8)>) -> Result<i64> {
    let mut number = 0;
    for shift in (0..=TOO_LONG).step_by(5) {
        let Some((place, character)) = digits.next() else {
            return Err(fail("the end of the text", "another digit of the last number"));
        };
        let digit = character.wrapping_sub(ZERO);
        if digit > DIGIT + MORE {
            return Err(fail(
                format_args!("{:?} at byte {place}", char::from(character)),
                "a character from '0' to 'o'",
            ));
        }
        number |= i64::from(digit & DIGIT) << shift;
        if digit & MORE == 0 {
            return Ok(if digit & SIGN == 0 { number } else { number - (1 << (shift + 5)) });
        }
    }
    Err(fail("a number of more than 40 bits", "the length of a run"))
}

fn fail(found: impl std::fmt::Display, expected: &str) -> Error {
    Error::Argument { op: "compressed mask", what: "text", found: found.to_string(), expected: expected.to_owned() }
}

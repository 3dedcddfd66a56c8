//! Booking codes: 7 random digits and a check digit, read aloud and typed on a keypad as `4821-7736`.

use std::fmt;

use rand::RngExt;
use serde::{Deserialize, Serialize};

/// Damm's quasigroup of order 10: the check digit catches every single wrong digit and every swap of neighbours.
/// Source: H. M. Damm, "Total anti-symmetrische Quasigruppen", 2004.
const DAMM: [[u8; 10]; 10] = [
    [0, 3, 1, 7, 5, 9, 8, 6, 4, 2],
    [7, 0, 9, 2, 1, 5, 4, 8, 6, 3],
    [4, 2, 0, 6, 8, 7, 1, 3, 5, 9],
    [1, 7, 5, 0, 9, 8, 3, 4, 2, 6],
    [6, 1, 2, 3, 0, 4, 5, 9, 7, 8],
    [3, 6, 7, 4, 2, 0, 9, 5, 8, 1],
    [5, 8, 6, 9, 7, 2, 0, 1, 3, 4],
    [8, 9, 4, 5, 3, 6, 2, 0, 1, 7],
    [9, 4, 3, 8, 6, 1, 7, 2, 0, 5],
    [2, 5, 8, 1, 4, 3, 6, 7, 9, 0],
];
const DIGITS: usize = 8;

/// Eight digits, the last of which checks the others. Displayed in two groups of four.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Code(String);

/// Not eight digits, or mistyped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a booking code")]
pub struct BadCode;

impl Code {
    /// A fresh code from the operating system's random source by way of a thread-local generator.
    pub fn random() -> Code {
        Code::of_number(rand::rng().random())
    }

    /// The code of a number, of whose last seven digits it is made.
    pub fn of_number(number: u128) -> Code {
        let mut digits = format!("{:07}", number % 10_000_000);
        digits.push(char::from(b'0' + check(digits.bytes())));
        Code(digits)
    }

    /// Reads a code with or without its dash, blanks or dots, `O` for 0 and `I` or `l` for 1.
    ///
    /// # Errors
    /// [`BadCode`] unless eight digits are left and the last one fits.
    pub fn parse(raw: &str) -> Result<Code, BadCode> {
        let mut digits = String::with_capacity(DIGITS);
        for c in raw.trim().chars() {
            match c {
                '0'..='9' => digits.push(c),
                'o' | 'O' => digits.push('0'),
                'i' | 'I' | 'l' => digits.push('1'),
                ' ' | '-' | '.' => {}
                _ => return Err(BadCode),
            }
            if digits.len() > DIGITS {
                return Err(BadCode);
            }
        }
        if digits.len() == DIGITS && check(digits.bytes()) == 0 {
            Ok(Code(digits))
        } else {
            Err(BadCode)
        }
    }

    /// The eight digits without a dash, as stored.
    pub fn digits(&self) -> &str {
        &self.0
    }
}

fn check(digits: impl Iterator<Item = u8>) -> u8 {
    digits.fold(0, |row, digit| {
        DAMM[usize::from(row)][usize::from(digit - b'0')]
    })
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", &self.0[..4], &self.0[4..])
    }
}

impl TryFrom<String> for Code {
    type Error = BadCode;
    fn try_from(raw: String) -> Result<Code, BadCode> {
        Code::parse(&raw)
    }
}

impl From<Code> for String {
    fn from(code: Code) -> String {
        code.0
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_random_code_reads_back_in_every_spelling() {
        for _ in 0..200 {
            let code = Code::random();
            let spoken = code
                .to_string()
                .replace('0', "O")
                .replace('1', "l")
                .replace('-', " ");
            assert_eq!(Code::parse(&code.to_string()).unwrap(), code);
            assert_eq!(Code::parse(&spoken).unwrap(), code);
        }
    }

    #[test]
    fn one_wrong_digit_or_swapped_neighbours_are_caught() {
        let code = Code::random();
        let good: Vec<u8> = code.digits().bytes().collect();
        for place in 0..DIGITS {
            for digit in b'0'..=b'9' {
                let mut typed = good.clone();
                typed[place] = digit;
                assert_eq!(
                    Code::parse(&String::from_utf8(typed).unwrap()).is_ok(),
                    digit == good[place]
                );
            }
        }
        for place in 0..DIGITS - 1 {
            let mut typed = good.clone();
            typed.swap(place, place + 1);
            assert_eq!(
                Code::parse(&String::from_utf8(typed.clone()).unwrap()).is_ok(),
                typed == good
            );
        }
    }
}

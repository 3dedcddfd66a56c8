//! GSM-7 text: how much room a text takes in SMS and USSD, how it is cut into parts, and how foreign letters are
//! folded so that one of them does not halve the room. Pure.
//!
//! Source: 3GPP TS 23.038 §6 (alphabet), TS 23.040 §9.2.3.24 (parts), TS 24.090 (160 octets of USSD).

mod fold;

use std::borrow::Cow;

pub use fold::fold;

/// GSM-7 septets of a message of one part, and of each part of several (a 6-octet header takes 7).
const SMS_SEPTETS: Room = Room {
    alone: 160,
    joined: 153,
};
/// UTF-16 code units of a message of one part, and of each part of several.
const SMS_CODE_UNITS: Room = Room {
    alone: 70,
    joined: 67,
};
const ESCAPE: u8 = 0x1b;

/// The default alphabet by code. Its place 0x1B is the escape to [`EXTENSION`] and stands for no character.
#[rustfmt::skip]
const BASIC: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å',
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{1b}', 'Æ', 'æ', 'ß', 'É',
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/',
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?',
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O',
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§',
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o',
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// Characters that are sent as an escape and a code, and so cost two septets.
#[rustfmt::skip]
const EXTENSION: [(char, u8); 10] = [
    ('\u{c}', 0x0a), ('^', 0x14), ('{', 0x28), ('}', 0x29), ('\\', 0x2f),
    ('[', 0x3c), ('~', 0x3d), (']', 0x3e), ('|', 0x40), ('€', 0x65),
];

/// What each ASCII character takes; 0 for those outside the alphabet.
const ASCII_SEPTETS: [u8; 128] = ascii_septets();

const fn ascii_septets() -> [u8; 128] {
    let mut septets = [0; 128];
    let mut code = 0;
    while code < BASIC.len() {
        if BASIC[code].is_ascii() && BASIC[code] as usize != ESCAPE as usize {
            septets[BASIC[code] as usize] = 1;
        }
        code += 1;
    }
    let mut row = 0;
    while row < EXTENSION.len() {
        if EXTENSION[row].0.is_ascii() {
            septets[EXTENSION[row].0 as usize] = 2;
        }
        row += 1;
    }
    septets
}

/// How a text travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// The default alphabet and its extension; units are septets.
    Gsm7,
    /// UTF-16; units are code units, two of them beyond U+FFFF.
    Ucs2,
}

/// How much room a text takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// GSM-7 unless one character is outside of it.
    pub encoding: Encoding,
    /// Septets or UTF-16 code units.
    pub units: usize,
}

struct Room {
    alone: usize,
    joined: usize,
}

/// How many septets `text` takes in GSM-7. `None`: it has a character outside the alphabet.
pub fn septets(text: &str) -> Option<usize> {
    if text.is_ascii() {
        // Nearly every text; one look a character.
        return text
            .bytes()
            .map(|byte| match ASCII_SEPTETS[usize::from(byte)] {
                0 => None,
                septets => Some(usize::from(septets)),
            })
            .sum();
    }
    text.chars()
        .map(|c| Some(if encode(c)?.escaped { 2 } else { 1 }))
        .sum()
}

/// How `text` travels and how much room it takes.
pub fn measure(text: &str) -> Measure {
    match septets(text) {
        Some(units) => Measure {
            encoding: Encoding::Gsm7,
            units,
        },
        None => Measure {
            encoding: Encoding::Ucs2,
            units: text.chars().map(char::len_utf16).sum(),
        },
    }
}

/// Cuts `text` into the parts in which SMS carries it in this encoding: 160 septets alone or 153 each, 70 UTF-16 code
/// units alone or 67 each. No character is cut in two; joined, the parts are `text`; an empty text is one empty part.
pub fn split_sms(text: &str, encoding: Encoding) -> Vec<&str> {
    let room = match encoding {
        Encoding::Gsm7 => SMS_SEPTETS,
        Encoding::Ucs2 => SMS_CODE_UNITS,
    };
    let units: usize = text.chars().map(|c| cost(encoding, c)).sum();
    if units <= room.alone {
        return vec![text];
    }
    let mut parts = Vec::with_capacity(units / room.joined + 1);
    let (mut start, mut used) = (0, 0);
    for (at, c) in text.char_indices() {
        let cost = cost(encoding, c);
        if used + cost > room.joined {
            parts.push(&text[start..at]);
            (start, used) = (at, 0);
        }
        used += cost;
    }
    parts.push(&text[start..]);
    parts
}

/// `text` folded, and every character that would take more than one septet, or break a line, replaced by `?` or a blank:
/// its length in characters is its length in septets, whatever a stranger typed.
pub fn plain(text: &str) -> Cow<'_, str> {
    let is_plain =
        |byte: u8| byte.is_ascii() && byte >= b' ' && ASCII_SEPTETS[usize::from(byte)] == 1;
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let folded = fold(text);
    let replaced = folded.chars().map(|c| match c {
        '\n' | '\r' => ' ',
        c if encode(c).is_some_and(|code| !code.escaped) => c,
        _ => '?',
    });
    Cow::Owned(replaced.collect())
}

/// Does `text` fit on a screen of `septets_max` septets? Text outside GSM-7 has the same octets as room: a screen of
/// 182 septets holds 80 UTF-16 code units, one of 160 holds 70.
pub fn fits_ussd(text: &str, septets_max: usize) -> bool {
    let Measure { encoding, units } = measure(text);
    match encoding {
        Encoding::Gsm7 => units <= septets_max,
        Encoding::Ucs2 => units <= (septets_max * 7).div_ceil(8) / 2,
    }
}

/// Reads UTF-16 in big-endian order; what is broken becomes U+FFFD.
pub fn read_utf16(octets: &[u8]) -> String {
    let units = octets.chunks_exact(2);
    let units = units.map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    char::decode_utf16(units)
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// Reads GSM-7 with one septet in each octet, as SMSCs hand it over.
pub fn read_unpacked(octets: &[u8]) -> String {
    let codes: Vec<u8> = octets.iter().map(|octet| octet & 0x7f).collect();
    decode(&codes)
}

/// One character in GSM-7.
struct Code {
    escaped: bool,
    code: u8,
}

fn encode(c: char) -> Option<Code> {
    let basic = |code| {
        Some(Code {
            escaped: false,
            code,
        })
    };
    match c {
        // The codes that the alphabet shares with ASCII: nearly all of every menu.
        ' '..='#' | '%'..='?' | 'A'..='Z' | 'a'..='z' => basic(c as u8),
        '\u{1b}' => None,
        _ => match BASIC.iter().position(|&known| known == c) {
            Some(code) => basic(code as u8),
            None => EXTENSION
                .iter()
                .find(|&&(known, _)| known == c)
                .map(|&(_, code)| Code {
                    escaped: true,
                    code,
                }),
        },
    }
}

fn is_gsm7(c: char) -> bool {
    encode(c).is_some()
}

fn cost(encoding: Encoding, c: char) -> usize {
    match encoding {
        Encoding::Gsm7 => encode(c).map_or(0, |code| if code.escaped { 2 } else { 1 }),
        Encoding::Ucs2 => c.len_utf16(),
    }
}

/// GSM-7 with one septet in each octet, as SMSCs take it. `None`: a character is outside the alphabet.
pub fn unpacked(text: &str) -> Option<Vec<u8>> {
    let mut codes = Vec::with_capacity(text.len());
    for c in text.chars() {
        let Code { escaped, code } = encode(c)?;
        if escaped {
            codes.push(ESCAPE);
        }
        codes.push(code);
    }
    Some(codes)
}

fn decode(codes: &[u8]) -> String {
    let mut text = String::with_capacity(codes.len());
    let mut escaped = false;
    for &code in codes {
        if code == ESCAPE && !escaped {
            escaped = true;
            continue;
        }
        let extended = EXTENSION
            .iter()
            .find(|&&(_, known)| escaped && known == code);
        text.push(match extended {
            Some(&(c, _)) => c,
            None if code == ESCAPE => ' ',
            None => BASIC[usize::from(code)],
        });
        escaped = false;
    }
    if escaped {
        text.push(' ');
    }
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn vectors(list: &str) -> Vec<Value> {
        let all: Value =
            serde_json::from_str(include_str!("../../tests/vectors/text_gsm0338.json")).unwrap();
        all[list].as_array().unwrap().clone()
    }

    fn encoding(word: &Value) -> Encoding {
        match word.as_str().unwrap() {
            "gsm7" => Encoding::Gsm7,
            "ucs2" => Encoding::Ucs2,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn sms_vectors() {
        for case in vectors("sms") {
            let (name, text) = (&case["name"], case["text"].as_str().unwrap());
            let measured = measure(text);
            assert_eq!(measured.encoding, encoding(&case["encoding"]), "{name}");
            assert_eq!(measured.units as u64, case["units"], "{name}");
            let parts = split_sms(text, measured.encoding);
            assert_eq!(parts.len() as u64, case["segments"], "{name}");
            if let Some(wanted) = case.get("septets_hex") {
                assert_eq!(HEXLOWER.encode(&unpacked(text).unwrap()), *wanted, "{name}");
            }
            if let Some(wanted) = case.get("segment_lengths") {
                let lengths: Vec<usize> = parts.iter().map(|part| measure(part).units).collect();
                assert_eq!(serde_json::json!(lengths), *wanted, "{name}");
            }
        }
    }

    #[test]
    fn ussd_vectors() {
        for case in vectors("ussd") {
            let (name, text) = (&case["name"], case["text"].as_str().unwrap());
            let measured = measure(text);
            assert_eq!(measured.encoding, encoding(&case["alphabet"]), "{name}");
            assert_eq!(measured.units as u64, case["units"], "{name}");
            assert_eq!(fits_ussd(text, 182), case["fits"], "{name}");
        }
    }

    #[test]
    fn an_escape_that_means_nothing_is_passed_over() {
        for (codes, text) in [
            (&[ESCAPE, 0x41][..], "A"),
            (&[0x41, ESCAPE], "A "),
            (&[ESCAPE, ESCAPE, 0x41], " A"),
        ] {
            assert_eq!(decode(codes), text, "{codes:?}");
        }
    }

    #[test]
    fn a_screen_holds_as_many_octets_in_either_alphabet() {
        for (septets_max, code_units) in [(182, 80), (160, 70), (120, 52)] {
            assert!(fits_ussd(&"a".repeat(septets_max), septets_max));
            assert!(!fits_ussd(&"a".repeat(septets_max + 1), septets_max));
            assert!(fits_ussd(&"ሰ".repeat(code_units), septets_max));
            assert!(!fits_ussd(&"ሰ".repeat(code_units + 1), septets_max));
        }
    }

    /// Texts as people write them: mostly the alphabet, with what costs two septets and what lies outside.
    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~\n€éÇñ]{0,500}",
            "[a-z{€ẹọṣ̀ɓŋ’…₦😀ሰ]{0,400}",
            any::<String>()
        ]
    }

    proptest! {
        #[test]
        fn every_part_fits_and_nothing_is_lost(text in any_text()) {
            let whole = measure(&text);
            let room = match whole.encoding {
                Encoding::Gsm7 => SMS_SEPTETS,
                Encoding::Ucs2 => SMS_CODE_UNITS,
            };
            let parts = split_sms(&text, whole.encoding);
            let limit = if parts.len() == 1 { room.alone } else { room.joined };
            for part in &parts {
                prop_assert!(part.chars().map(|c| cost(whole.encoding, c)).sum::<usize>() <= limit);
            }
            prop_assert!(parts.len() == 1 || parts.iter().all(|part| !part.is_empty()));
            prop_assert_eq!(parts.concat(), text);
        }

        #[test]
        fn folding_is_idempotent_and_leaves_gsm7_alone(text in any_text()) {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once.clone());
            prop_assert!(septets(&text).is_none() || once == text);
            prop_assert!(fold(&text).chars().filter(|&c| !is_gsm7(c)).count()
                <= text.chars().filter(|&c| !is_gsm7(c)).count());
        }
    }
}

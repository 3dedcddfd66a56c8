//! Text in the octets of SMPP: alphabets, and the headers by which long messages are joined. Pure.
//!
//! Source: SMPP 3.4, §5.2.19 (`data_coding`) and §5.3.2.22 ff. (`sar_…`); 3GPP TS 23.038 §4 (coding groups), TS 23.040
//! §9.2.3.24 (headers).

use serde::Deserialize;

use super::pdu::{Deliver, tag};
use crate::sms::Part;
use crate::sms::gsm7::{Encoding, measure, read_unpacked, read_utf16, split_sms, unpacked};

/// `data_coding` of text in the alphabet that an SMSC takes unless told otherwise.
const DEFAULT: u8 = 0;
/// `data_coding` of UTF-16.
const UCS2: u8 = 8;
/// `esm_class`: the octets begin with a header.
const HAS_HEADER: u8 = 0x40;
/// The header of a part: its length, "concatenated, 8-bit reference", the length of what follows.
const PART_HEADER: [u8; 3] = [5, 0, 3];

/// What an SMSC understands by `data_coding` 0.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alphabet {
    /// GSM 03.38, one septet in each octet.
    #[default]
    Gsm7,
    /// ISO-8859-1.
    Latin1,
}

/// Text ready for one or more `submit_sm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// How the octets are to be read.
    pub data_coding: u8,
    /// Whether each begins with a header.
    pub has_header: bool,
    /// In their order.
    pub parts: Vec<Vec<u8>>,
}

impl Alphabet {
    /// Text in one message, or in parts that the phone joins by `reference`.
    pub fn encode(self, text: &str, reference: u8) -> Encoded {
        let (encoding, data_coding) = match self.octets(text) {
            Some(_) => (Encoding::Gsm7, DEFAULT),
            None => (Encoding::Ucs2, UCS2),
        };
        let texts = split_sms(text, encoding);
        let has_header = texts.len() > 1;
        let total = u8::try_from(texts.len()).unwrap_or(u8::MAX);
        let parts = texts.into_iter().zip(1..=total).map(|(text, number)| {
            let mut part = Vec::new();
            if has_header {
                part.extend(PART_HEADER);
                part.extend([reference, total, number]);
            }
            part.extend(match data_coding {
                DEFAULT => self.octets(text).unwrap_or_default(),
                _ => utf16(text),
            });
            part
        });
        Encoded {
            data_coding,
            has_header,
            parts: parts.collect(),
        }
    }

    /// Text as one piece, however long: `data_coding` and octets.
    pub fn encode_whole(self, text: &str) -> (u8, Vec<u8>) {
        match self.octets(text) {
            Some(octets) => (DEFAULT, octets),
            None => (UCS2, utf16(text)),
        }
    }

    /// Text in this alphabet, if it can be written in it and in the one that phones have.
    fn octets(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Alphabet::Gsm7 => unpacked(text),
            Alphabet::Latin1 => {
                let fits = measure(text).encoding == Encoding::Gsm7;
                let octets = text.chars().map(|c| u8::try_from(u32::from(c)).ok());
                octets.collect::<Option<_>>().filter(|_| fits)
            }
        }
    }

    /// Octets as text. `None`: they are none.
    pub fn decode(self, data_coding: u8, octets: &[u8]) -> Option<String> {
        let latin1 = || octets.iter().map(|&octet| char::from(octet)).collect();
        match data_coding {
            DEFAULT if self == Alphabet::Latin1 => Some(latin1()),
            DEFAULT => Some(read_unpacked(octets)),
            1 | 3 => Some(latin1()),
            2 | 4 => None,
            UCS2 => Some(read_utf16(octets)),
            // Coding groups of GSM, which some SMSCs pass on as they are: the class of a message and its alphabet.
            0x10..=0x1f | 0xf0..=0xff => match data_coding >> 2 & 0b11 {
                0b00 => Some(read_unpacked(octets)),
                0b10 if data_coding < 0x20 => Some(read_utf16(octets)),
                _ => None,
            },
            _ => Some(latin1()),
        }
    }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// A message with what told of its parts taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserData {
    /// Its header, if it has one.
    pub header: Vec<u8>,
    /// The rest.
    pub octets: Vec<u8>,
    /// Which part of a long message it is.
    pub part: Option<Part>,
}

/// Takes a message apart. A header that claims more octets than there are is none.
pub fn user_data(deliver: &Deliver) -> UserData {
    let message = &deliver.message;
    let has_header = deliver.esm_class & HAS_HEADER != 0;
    let cut = has_header.then(|| {
        let (&length, _) = message.split_first()?;
        message.split_at_checked(1 + usize::from(length))
    });
    let (header, octets) = cut.flatten().unwrap_or((&[], message));
    UserData {
        part: part_of_header(header).or_else(|| part_of_parameters(deliver)),
        header: header.to_vec(),
        octets: octets.to_vec(),
    }
}

fn part_of_header(header: &[u8]) -> Option<Part> {
    let mut rest = header.get(1..)?;
    while let [element, length, tail @ ..] = rest {
        let (value, tail) = tail.split_at_checked(usize::from(*length))?;
        match (element, value) {
            (0, &[reference, total, number]) => {
                return part(u32::from(reference), u32::from(total), u32::from(number));
            }
            (8, &[high, low, total, number]) => {
                let reference = u32::from(u16::from_be_bytes([high, low]));
                return part(reference, u32::from(total), u32::from(number));
            }
            _ => rest = tail,
        }
    }
    None
}

fn part_of_parameters(deliver: &Deliver) -> Option<Part> {
    part(
        deliver.number(tag::SAR_MSG_REF_NUM)?,
        deliver.number(tag::SAR_TOTAL_SEGMENTS)?,
        deliver.number(tag::SAR_SEGMENT_SEQNUM)?,
    )
}

/// A message of one part is whole, and numbers that make no sense are not believed.
fn part(reference: u32, total: u32, number: u32) -> Option<Part> {
    let (total, number) = (u8::try_from(total).ok()?, u8::try_from(number).ok()?);
    (total > 1 && (1..=total).contains(&number)).then(|| Part {
        reference: reference.to_string(),
        number,
        total,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_goes_in_the_alphabet_that_holds_it() {
        for (alphabet, text, data_coding, octets) in [
            (Alphabet::Gsm7, "@{€", 0, &[0, 0x1b, 0x28, 0x1b, 0x65][..]),
            (Alphabet::Gsm7, "ሰ", 8, &[0x12, 0x30]),
            (Alphabet::Latin1, "é@", 0, &[0xe9, 0x40]),
            // Phones have a euro sign, ISO-8859-1 has none; with ç it is the other way round.
            (Alphabet::Latin1, "€", 8, &[0x20, 0xac]),
            (Alphabet::Latin1, "ç", 8, &[0, 0xe7]),
        ] {
            let encoded = alphabet.encode(text, 1);
            assert_eq!(encoded.data_coding, data_coding, "{text}");
            assert_eq!(encoded.parts, [octets], "{text}");
        }
    }

    #[test]
    fn octets_are_read_by_their_coding() {
        for (data_coding, octets, text) in [
            (0, &b"\0\x1be"[..], Some("@€")),
            (1, b"$\x40", Some("$@")),
            (3, b"caf\xe9", Some("café")),
            (4, b"x", None),
            (8, b"\x12\x30", Some("ሰ")),
            (0xf0, b"\0", Some("@")),
            (0xf4, b"\0", None),
            (0x18, b"\x12\x30", Some("ሰ")),
        ] {
            assert_eq!(
                Alphabet::Gsm7.decode(data_coding, octets).as_deref(),
                text,
                "{data_coding}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_reads_the_same(text in "[ -~\n€éÇñẹọ’…😀ሰ]{0,600}", latin1: bool) {
            let alphabet = if latin1 { Alphabet::Latin1 } else { Alphabet::Gsm7 };
            let encoded = alphabet.encode(&text, 7);
            let header = if encoded.has_header { 6 } else { 0 };
            let read: String = encoded.parts.iter().map(|part| {
                assert!(part.len() <= super::super::pdu::SHORT_MESSAGE_OCTETS_MAX);
                alphabet.decode(encoded.data_coding, &part[header..]).unwrap_or_default()
            }).collect();
            prop_assert_eq!(read, text);
        }
    }
}

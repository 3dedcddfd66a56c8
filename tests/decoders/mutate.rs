//! Small changes to inputs, the same ones with every run.

use super::corpus::Input;

/// The longest body: as the service takes it.
const BODY_OCTETS_MAX: usize = reserveflow::webhook::BODY_BYTES_MAX;
/// The longest query.
const QUERY_CHARS_MAX: usize = 4 * 1024;
/// What decoders stumble over.
const TOKENS: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\xc3",
    b"%",
    b"%0",
    b"%00",
    b"%ff",
    b"&",
    b"=",
    b"*",
    b"#",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\"",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"99999999999999999999",
    b"<",
    b"</",
    b"<![CDATA[",
    b"&#x0;",
    b"&amp;",
    b"+254711000001",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\xf0\x9f\x98\x80",
    b"\xd8\x3d",
];

/// A row of changes. The generator is splitmix64, whose constants these are.
pub struct Mutator(u64);

impl Mutator {
    pub fn new(name: &str, round: u64) -> Mutator {
        let seed = name.bytes().fold(round, |seed, byte| {
            seed.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        Mutator(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`; 0 if there is nothing below.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % (end.max(1) as u64)) as usize
    }

    /// `seed` with a few changes, perhaps with a piece of another one.
    pub fn mutate(&mut self, seed: &Input, others: &[Input]) -> Input {
        let mut input = seed.clone();
        for _ in 0..=self.below(4) {
            let other = &others[self.below(others.len())];
            match self.below(10) {
                0 => input.method = ["GET", "POST", "PUT", ""][self.below(4)].to_owned(),
                1 => input.path = self.text(&input.path, &other.path, QUERY_CHARS_MAX),
                2 => input.headers = other.headers.clone(),
                3 => {
                    let at = self.below(input.headers.len());
                    if let Some((_, value)) = input.headers.get(at).cloned() {
                        input.headers[at].1 = self.text(&value, "text/xml", QUERY_CHARS_MAX);
                    }
                }
                4 | 5 if !input.query.is_empty() => {
                    input.query = self.text(&input.query, &other.query, QUERY_CHARS_MAX);
                }
                _ => input.body = self.octets(&input.body, &other.body, BODY_OCTETS_MAX),
            }
        }
        input
    }

    /// A body with a few changes, perhaps with a piece of another one.
    pub fn body(&mut self, body: &[u8], other: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        for _ in 0..=self.below(4) {
            body = self.octets(&body, other, BODY_OCTETS_MAX);
        }
        body
    }

    fn text(&mut self, text: &str, other: &str, chars_max: usize) -> String {
        let octets = self.octets(text.as_bytes(), other.as_bytes(), chars_max);
        String::from_utf8_lossy(&octets).into_owned()
    }

    fn octets(&mut self, octets: &[u8], other: &[u8], octets_max: usize) -> Vec<u8> {
        let mut octets = octets.to_vec();
        let at = self.below(octets.len() + 1);
        let end = at + self.below(octets.len() + 1 - at);
        match self.below(9) {
            0 if at < octets.len() => octets[at] ^= 1 << self.below(8),
            1 if at < octets.len() => octets[at] = self.next() as u8,
            2 => drop(octets.drain(at..end)),
            3 => octets.truncate(at),
            4 => {
                let piece = octets[at..end].to_vec();
                octets.splice(at..at, piece);
            }
            5 => {
                let from = self.below(other.len() + 1);
                octets.splice(at..end, other[from..].iter().copied());
            }
            6 if self.below(20) == 0 => {
                // As long as it may be.
                let token = TOKENS[self.below(TOKENS.len())];
                let room = octets_max.saturating_sub(octets.len()) / token.len();
                octets.splice(at..at, token.repeat(room));
            }
            7 if at + 2 <= octets.len() => {
                // A length that lies.
                let lie = [0u16, 1, 0xff, 0x7fff, 0xffff][self.below(5)];
                octets[at..at + 2].copy_from_slice(&lie.to_be_bytes());
            }
            _ => {
                let token = TOKENS[self.below(TOKENS.len())];
                octets.splice(at..at, token.iter().copied());
            }
        }
        octets.truncate(octets_max);
        octets
    }
}

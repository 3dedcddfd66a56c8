//! Where a callback comes from: blocks of addresses, and the way through the proxies in front of us. Pure.

use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;

/// The fewest leading bits of a block; a wider one proves nothing. `10.0.0.0/8` and `fc00::/7` are private networks.
const BITS_MIN_V4: u8 = 8;
const BITS_MIN_V6: u8 = 7;
/// The most hops looked at; a longer way is nobody's.
const HOPS_MAX: usize = 16;

/// A block of addresses, `196.201.214.0/24`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Block {
    address: IpAddr,
    bits: u8,
}

/// The text is no block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBlock {
    /// Neither an address nor a block.
    #[error("is not a block of addresses like 196.201.214.0/24 or 2001:db8::/32")]
    Unreadable,
    /// Bits are set behind the prefix: which part is the slip of the pen?
    #[error("names one address and a block: the bits behind the prefix must be 0")]
    HostBits,
    /// It holds most of the internet.
    #[error("is too wide to prove anything")]
    TooWide,
}

impl FromStr for Block {
    type Err = BadBlock;

    fn from_str(text: &str) -> Result<Block, BadBlock> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadBlock::Unreadable)?;
        let (bits_min, bits_max) = match address {
            IpAddr::V4(_) => (BITS_MIN_V4, 32),
            IpAddr::V6(_) => (BITS_MIN_V6, 128),
        };
        let bits = bits
            .map_or(Ok(bits_max), str::parse)
            .map_err(|_| BadBlock::Unreadable)?;
        if bits > bits_max {
            return Err(BadBlock::Unreadable);
        }
        if bits < bits_min {
            return Err(BadBlock::TooWide);
        }
        if masked(address, bits) != masked(address, bits_max) {
            return Err(BadBlock::HostBits);
        }
        Ok(Block { address, bits })
    }
}

impl TryFrom<String> for Block {
    type Error = String;

    fn try_from(text: String) -> Result<Block, String> {
        text.parse()
            .map_err(|why: BadBlock| format!("{text:?} {why}"))
    }
}

impl Block {
    /// Whether the address is one of these. An IPv4 address written as IPv6 is the same address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && masked(address, self.bits) == masked(self.address, self.bits)
    }
}

/// The address with everything behind its leading bits 0.
fn masked(address: IpAddr, bits: u8) -> u128 {
    let (whole, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let behind = width - u32::from(bits);
    whole
        .checked_shr(behind)
        .map_or(0, |leading| leading << behind)
}

/// Who sent a request that came over a connection from `peer`: the peer, or, where that is one of our proxies, the last hop
/// of `X-Forwarded-For` that is not. What anybody else wrote there does not count. `None`: a proxy of ours passed on what
/// is not an address.
///
/// `forwarded` are the header's lines in their order.
pub fn source(peer: IpAddr, forwarded: &[&str], proxies: &[Block]) -> Option<IpAddr> {
    let is_ours = |address: IpAddr| proxies.iter().any(|block| block.contains(address));
    let peer = peer.to_canonical();
    let hops = forwarded.iter().rev().flat_map(|line| line.rsplit(','));
    let mut last = peer;
    for hop in hops.take(HOPS_MAX) {
        if !is_ours(last) {
            return Some(last);
        }
        last = read(hop.trim())?;
    }
    Some(last)
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1` or `[2001:db8::1]:4711`.
fn read(hop: &str) -> Option<IpAddr> {
    let address = hop
        .parse()
        .or_else(|_| {
            hop.parse()
                .map(|with_port: std::net::SocketAddr| with_port.ip())
        })
        .or_else(|_| hop.trim_start_matches('[').trim_end_matches(']').parse());
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(text: &str) -> Block {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_block_holds_its_addresses_only() {
        for (text, inside, outside) in [
            ("196.201.214.0/24", "196.201.214.255", "196.201.215.0"),
            ("196.201.214.7", "196.201.214.7", "196.201.214.6"),
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.0.0.128/25", "10.0.0.128", "10.0.0.127"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::a01:203"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
            ("fc00::/7", "fdff::1", "fe00::1"),
        ] {
            assert!(block(text).contains(ip(inside)), "{text} {inside}");
            assert!(!block(text).contains(ip(outside)), "{text} {outside}");
        }
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for (text, why) in [
            ("", BadBlock::Unreadable),
            ("hotel", BadBlock::Unreadable),
            ("10.0.0", BadBlock::Unreadable),
            ("10.0.0.0/", BadBlock::Unreadable),
            ("10.0.0.0/33", BadBlock::Unreadable),
            ("10.0.0.0/-1", BadBlock::Unreadable),
            ("2001:db8::/129", BadBlock::Unreadable),
            ("10.0.0.1/8", BadBlock::HostBits),
            ("2001:db8::1/64", BadBlock::HostBits),
            ("0.0.0.0/0", BadBlock::TooWide),
            ("10.0.0.0/7", BadBlock::TooWide),
            ("::/0", BadBlock::TooWide),
        ] {
            assert_eq!(text.parse::<Block>(), Err(why), "{text}");
        }
    }

    #[test]
    fn only_our_proxies_are_believed() {
        let proxies = [block("10.0.0.0/8"), block("2001:db8::/32")];
        for (peer, forwarded, expected) in [
            // Nobody before us.
            ("203.0.113.9", &[][..], Some("203.0.113.9")),
            // A stranger writes the header himself.
            ("203.0.113.9", &["196.201.214.7"], Some("203.0.113.9")),
            ("10.0.0.1", &["196.201.214.7"], Some("196.201.214.7")),
            // The proxy appended to what the stranger had written.
            (
                "10.0.0.1",
                &["196.201.214.7, 203.0.113.9"],
                Some("203.0.113.9"),
            ),
            (
                "10.0.0.1",
                &["196.201.214.7", "203.0.113.9"],
                Some("203.0.113.9"),
            ),
            // Two proxies.
            ("10.0.0.1", &["203.0.113.9, 10.0.0.2"], Some("203.0.113.9")),
            (
                "10.0.0.1",
                &["1.1.1.1, 203.0.113.9 ,10.0.0.2"],
                Some("203.0.113.9"),
            ),
            ("2001:db8::1", &["203.0.113.9:4711"], Some("203.0.113.9")),
            ("10.0.0.1", &["[2001:db9::7]:443"], Some("2001:db9::7")),
            ("10.0.0.1", &["2001:db9::7"], Some("2001:db9::7")),
            (
                "::ffff:10.0.0.1",
                &["::ffff:203.0.113.9"],
                Some("203.0.113.9"),
            ),
            // The proxy asks by itself.
            ("10.0.0.1", &[], Some("10.0.0.1")),
            ("10.0.0.1", &["10.0.0.2"], Some("10.0.0.2")),
            // Unreadable where it counts, and where it does not.
            ("10.0.0.1", &["unknown"], None),
            ("10.0.0.1", &[""], None),
            ("10.0.0.1", &["203.0.113.9, "], None),
            ("10.0.0.1", &["junk, 203.0.113.9"], Some("203.0.113.9")),
        ] {
            let expected = expected.map(ip);
            assert_eq!(
                source(ip(peer), forwarded, &proxies),
                expected,
                "{peer} {forwarded:?}"
            );
        }
        assert_eq!(
            source(ip("10.0.0.1"), &["1.1.1.1"], &[]),
            Some(ip("10.0.0.1"))
        );
    }

    proptest! {
        /// Whatever a stranger writes, his own address is the one that our proxy appended.
        #[test]
        fn no_header_makes_a_stranger_another(written in "[ -~]{0,200}") {
            let line = format!("{written},203.0.113.9");
            let found = source(ip("10.0.0.1"), &[&line], &[block("10.0.0.0/8")]);
            prop_assert_eq!(found, Some(ip("203.0.113.9")));
        }
    }
}

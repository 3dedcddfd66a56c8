//! What one address may take of the public listener, and how long it may leave an answer unread.

use std::any::Any;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, Shutdown};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use socket2::SockRef;

use crate::webhook::address::Block;

/// How long sent data may wait for a client that takes none of it, before its connection is cut. Callbacks are answered to
/// servers, and apps come by way of a proxy: nobody needs longer for the next byte.
const UNREAD_MAX: Duration = Duration::from_secs(5);
/// The bits of an IPv6 address that tell one customer from another.
const CUSTOMER: Ipv6Addr = Ipv6Addr::new(0xffff, 0xffff, 0xffff, 0xffff, 0, 0, 0, 0);

/// Open connections by address.
pub struct Connections {
    /// Of one address. 0: as many as it likes.
    most: usize,
    /// Who speaks for many.
    proxies: Vec<Block>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection that counts, until it is dropped.
struct Counted {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Connections {
    /// None yet. Each address may have so many; `proxies` any number.
    pub fn new(most: u32, proxies: &[Block]) -> Connections {
        Connections {
            most: usize::try_from(most).unwrap_or(usize::MAX),
            proxies: proxies.to_vec(),
            open: Mutex::default(),
        }
    }

    /// Looks at a new connection: it is counted as long as `data` lives, or closed at once.
    pub fn meet(self: &Arc<Connections>, connection: &dyn Any, data: &mut Extensions) {
        let Some(stream) = connection.downcast_ref::<TcpStream>() else {
            return;
        };
        let socket = SockRef::from(stream);
        // Where the system does not know the option, clients are cut when they have been idle.
        if let Err(error) = socket.set_tcp_user_timeout(Some(UNREAD_MAX)) {
            tracing::debug!(%error, "a connection has no limit for what is not read");
        }
        let Ok(peer) = stream.peer_addr() else {
            return;
        };
        match self.count(peer.ip()) {
            Ok(counted) => {
                data.insert(counted);
            }
            Err(Full) => {
                metrics::counter!("connections_refused_total").increment(1);
                // It may be gone already.
                socket.shutdown(Shutdown::Both).ok();
            }
        }
    }

    fn count(self: &Arc<Connections>, peer: IpAddr) -> Result<Option<Counted>, Full> {
        let peer = peer.to_canonical();
        if self.most == 0 || self.proxies.iter().any(|block| block.contains(peer)) {
            return Ok(None);
        }
        let address = customer(peer);
        let mut open = self.open();
        let count = open.entry(address).or_default();
        if *count >= self.most {
            return Err(Full);
        }
        *count += 1;
        Ok(Some(Counted {
            connections: self.clone(),
            address,
        }))
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address has as many as it may.
#[derive(Debug)]
struct Full;

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// Whoever has one IPv6 address has as many as he likes.
fn customer(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & CUSTOMER.to_bits()))
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    fn connections(most: u32) -> Arc<Connections> {
        let proxy = serde_json::from_str("\"10.0.0.0/24\"").unwrap();
        Arc::new(Connections::new(most, &[proxy]))
    }

    fn count(connections: &Arc<Connections>, peer: &str) -> Option<Counted> {
        connections.count(peer.parse().unwrap()).unwrap()
    }

    #[test]
    fn an_address_may_have_as_many_as_it_may_and_proxies_any_number() {
        let connections = connections(2);
        let peer: IpAddr = "192.0.2.1".parse().unwrap();
        let first = count(&connections, "192.0.2.1");
        let second = count(&connections, "::ffff:192.0.2.1");
        assert!(connections.count(peer).is_err());
        let other = count(&connections, "192.0.2.2");
        let many = [(); 5].map(|()| count(&connections, "10.0.0.7"));
        assert!(many.iter().all(Option::is_none) && other.is_some() && second.is_some());
        drop(first);
        assert!(count(&connections, "192.0.2.1").is_some());
        drop((second, other));
        assert!(connections.open().is_empty());
    }

    #[test]
    fn addresses_of_one_customer_count_together() {
        let connections = connections(1);
        let _first = count(&connections, "2001:db8:1:2::1");
        let same: IpAddr = "2001:db8:1:2:ffff::9".parse().unwrap();
        assert!(connections.count(same).is_err());
        assert!(count(&connections, "2001:db8:1:3::1").is_some());
    }
}

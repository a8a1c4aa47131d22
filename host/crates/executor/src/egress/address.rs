//! Which addresses may be connected to. Public ones may; the others only where a granted network says so.
//!
//! From the registries of special-purpose addresses (IANA, RFC 6890 and its successors), and from what clouds document as the
//! addresses of their metadata services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// What an address is, as far as guests are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anybody's.
    Public,
    /// Of this machine or its neighbourhood; a granted network opens it.
    Local(&'static str),
    /// A service that hands out credentials; only a granted network of exactly this address opens it.
    Metadata,
    /// Nothing that a connection could lead to.
    Never(&'static str),
}

/// Metadata and credential services. One of them lies in a public range.
const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// What an address is, whatever it is wrapped in.
pub(crate) fn kind(address: IpAddr) -> Kind {
    let address = bare(address);
    if METADATA.contains(&address) {
        return Kind::Metadata;
    }
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

/// Why an address may not be connected to, if it may not.
pub(crate) fn refusal(address: IpAddr, networks: &[IpNet]) -> Option<&'static str> {
    let bare = bare(address);
    let within = |network: &IpNet| network.contains(&bare) || network.contains(&address);
    match kind(address) {
        Kind::Public => None,
        Kind::Local(name) => (!networks.iter().any(within)).then_some(name),
        Kind::Metadata => {
            let exactly =
                |network: &IpNet| network.prefix_len() == network.max_prefix_len() && within(network);
            (!networks.iter().any(exactly)).then_some("the address of a cloud's metadata service")
        }
        Kind::Never(name) => Some(name),
    }
}

/// The address that a packet in fact goes to: IPv4 addresses that are mapped or embedded in IPv6 ones are taken out.
pub(crate) fn bare(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let words = six.segments();
    let four = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match words {
        // IPv4-mapped, and its translated cousin of RFC 2765.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => four(high, low),
        // IPv4-compatible; `::` and `::1` are themselves.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => four(high, low),
        // NAT64 and 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => four(high, low),
        _ => address,
    }
}

fn kind_v4(address: Ipv4Addr) -> Kind {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (0, _, _) => Kind::Never("an address of no host (0.0.0.0/8)"),
        (127, _, _) => Kind::Local("a loopback address"),
        (10, _, _) | (172, 16..=31, _) | (192, 168, _) => Kind::Local("a private address"),
        (100, 64..=127, _) => Kind::Local("a provider's private address (100.64.0.0/10)"),
        (169, 254, _) => Kind::Local("a link-local address"),
        (192, 0, 0) => Kind::Never("a reserved address (192.0.0.0/24)"),
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => Kind::Never("an address for documentation"),
        (192, 88, 99) => Kind::Never("a 6to4 relay's address"),
        (198, 18..=19, _) => Kind::Local("an address for benchmarks (198.18.0.0/15)"),
        (224..=239, _, _) => Kind::Never("a multicast address"),
        (240..=255, _, _) => Kind::Never("a reserved address (240.0.0.0/4)"),
        _ => Kind::Public,
    }
}

fn kind_v6(address: Ipv6Addr) -> Kind {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Kind::Never("an address of no host (::)"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Kind::Local("a loopback address"),
        [0xfc00..=0xfdff, ..] => Kind::Local("a private address"),
        [0xfe80..=0xfebf, ..] => Kind::Local("a link-local address"),
        [0xfec0..=0xfeff, ..] => Kind::Local("a site-local address"),
        [0xff00..=0xffff, ..] => Kind::Never("a multicast address"),
        // A translation prefix of the local network: it may lead to any of its IPv4 addresses.
        [0x64, 0xff9b, 1, ..] => Kind::Local("a private translation address (64:ff9b:1::/48)"),
        [0x2001, 0..=0x1ff, ..] => Kind::Never("a reserved address (2001::/23)"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Kind::Never("an address for documentation"),
        [0x2000..=0x3fff, ..] => Kind::Public,
        _ => Kind::Never("no public unicast address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expect: fn(Kind) -> bool, addresses: &[&str]) {
        for text in addresses {
            let found = kind(text.parse().unwrap());
            assert!(expect(found), "{text} is {found:?}");
        }
    }

    #[test]
    fn every_kind_of_address_is_known_in_every_wrapping() {
        let public = [
            "1.1.1.1",
            "172.32.0.1",
            "172.15.0.1",
            "192.0.1.1",
            "11.0.0.1",
            "100.128.0.1",
            "223.255.255.255",
        ];
        check(|kind| kind == Kind::Public, &public);
        check(
            |kind| kind == Kind::Public,
            &["2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::1", "2a00::1"],
        );
        let local = [
            "127.0.0.1",
            "127.255.255.254",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "::ffff:127.0.0.1",
            "::ffff:0:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::10.0.0.1",
            "2002:7f00:1::1",
            "2002:a00:1::",
            "::10.1.2.3",
        ];
        check(|kind| matches!(kind, Kind::Local(_)), &local);
        let metadata = [
            "169.254.169.254",
            "100.100.100.200",
            "192.0.0.192",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "168.63.129.16",
            "::a9fe:a9fe",
        ];
        check(|kind| kind == Kind::Metadata, &metadata);
        let never = [
            "0.0.0.0",
            "0.1.2.3",
            "192.0.0.1",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2001:10::1",
            "3fff::1",
            "100::1",
            "4000::1",
            "::ffff:0.0.0.0",
            "5f00::1",
        ];
        check(|kind| matches!(kind, Kind::Never(_)), &never);
    }

    #[test]
    fn granted_networks_open_what_is_local_and_a_metadata_service_only_by_name() {
        let networks =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>();
        let open =
            |address: &str, granted: &[&str]| refusal(address.parse().unwrap(), &networks(granted)).is_none();
        assert!(open("1.1.1.1", &[]));
        assert!(!open("127.0.0.1", &[]));
        assert!(open("127.0.0.1", &["127.0.0.0/8"]));
        assert!(open("::ffff:127.0.0.1", &["127.0.0.0/8"]));
        assert!(!open("127.0.0.1", &["10.0.0.0/8", "::1/128"]));
        assert!(open("fd00::7", &["fd00::/8"]));
        assert!(!open("169.254.169.254", &["169.254.0.0/16", "0.0.0.0/0"]));
        assert!(open("169.254.169.254", &["169.254.169.254/32"]));
        assert!(!open("224.0.0.1", &["0.0.0.0/0"]));
        assert!(!open("0.0.0.0", &["0.0.0.0/0"]));
    }
}

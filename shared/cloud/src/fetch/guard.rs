//! Where a fetch may go: hrefs are written by others, and we stand inside networks that they do not.
//!
//! Addresses in the href itself are checked before anything is sent, because HTTP clients ask no resolver about them;
//! names are resolved by [`GuardedResolver`], which hands out only addresses it has checked, so what was checked is
//! what is dialled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::{FetchError, FetchPolicy};
use swath_core::redact_url;

/// Ports of the open web.
const WEB_PORTS: [u16; 2] = [80, 443];

/// Checks all of an address that can be checked before its name is resolved.
///
/// # Errors
/// When the policy forbids the scheme, port, credentials or address.
pub(crate) fn check(policy: &FetchPolicy, url: &Url) -> Result<(), FetchError> {
    let shown = || redact_url(url);
    match url.scheme() {
        "https" => {}
        "http" if policy.allow_http => {}
        "file" if policy.allow_file => return Ok(()),
        scheme => {
            let scheme = scheme.to_owned();
            return Err(FetchError::Scheme {
                url: shown(),
                scheme,
            });
        }
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(FetchError::Credentials { url: shown() });
    }
    if !policy.hosts.is_empty() && !url.host_str().is_some_and(|host| policy.hosts.have(host)) {
        return Err(FetchError::Unlisted { url: shown() });
    }
    if policy.allow_private_hosts {
        return Ok(());
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) | None => None,
    };
    if let Some(address) = address.filter(|address| !is_public(*address)) {
        return Err(FetchError::Private {
            url: shown(),
            address: address.to_string(),
        });
    }
    match url.port_or_known_default() {
        Some(port) if WEB_PORTS.contains(&port) => Ok(()),
        port => Err(FetchError::Port {
            url: shown(),
            port: port.unwrap_or_default(),
        }),
    }
}

/// Returns whether an address is one of the open internet's: global unicast, and no way into another network.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    // The IANA special-purpose registry, everything in it refused.
    !matches!(
        address.octets(),
        [0 | 10 | 127 | 224..=255, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Only 2000::/3 is given out as global unicast, so mapped, translated, local and multicast addresses fall away at
    // once; within it Teredo and other protocol blocks, documentation, and 6to4, which leads to any IPv4 address.
    match address.segments() {
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// A name that leads into a network that is not the open internet.
#[derive(Debug, thiserror::Error)]
#[error("{name} leads to {address}, which is not on the open internet")]
pub(crate) struct NotPublic {
    name: String,
    pub(crate) address: String,
}

/// Resolves names to public addresses only.
pub(crate) struct GuardedResolver {
    inner: Arc<dyn Resolve>,
}

impl GuardedResolver {
    pub(crate) fn new(inner: Arc<dyn Resolve>) -> Self {
        Self { inner }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let resolving = self.inner.resolve(name);
        Box::pin(async move {
            let all: Vec<SocketAddr> = resolving.await?.collect();
            let public: Vec<SocketAddr> = all
                .iter()
                .copied()
                .filter(|address| is_public(address.ip()))
                .collect();
            match all.first() {
                Some(private) if public.is_empty() => Err(NotPublic {
                    name: host,
                    address: private.ip().to_string(),
                }
                .into()),
                _ => Ok(Box::new(public.into_iter()) as Addrs),
            }
        })
    }
}

/// Asks the machine's resolver.
pub(crate) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(addresses.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fetch::testing::say;
    use crate::sign::Hosts;

    /// Hosts that lead into our own networks, in every spelling.
    pub(crate) const HOSTILE_HOSTS: [&str; 54] = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0x7f.1",
        "0",
        "0.0.0.0",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.254",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.79.129",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[::127.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[2002:a9fe:a9fe::1]",
        "[2001::1]",
        "[2001:db8::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[100::1]",
        "[3fff::1]",
        "[5f00::1]",
        "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
        "127\u{3002}0\u{3002}0\u{3002}1",
    ];

    /// Whole addresses that are refused for their scheme, credentials or port.
    pub(crate) const HOSTILE_HREFS: [&str; 14] = [
        "http://example.com/a.tif",
        "file:///etc/passwd",
        "ftp://example.com/a",
        "s3://bucket/key",
        "gopher://example.com/",
        "data:text/plain,a",
        "javascript:alert(1)",
        "abfs://c@a/x",
        "https://ok.example@169.254.169.254/",
        "https://user:pw@example.com/a",
        "https://user@example.com/a",
        "https://example.com:22/",
        "https://example.com:9001/2018-06-01/runtime",
        "https://8.8.8.8:8080/",
    ];

    fn refused(href: &str) -> bool {
        // What does not parse is never sent.
        Url::parse(href).map_or(true, |url| check(&FetchPolicy::default(), &url).is_err())
    }

    /// S1, S6.
    #[test]
    fn every_hostile_address_is_refused_before_anything_is_sent() {
        for host in HOSTILE_HOSTS {
            let href = format!("https://{host}/latest/meta-data/");
            assert!(refused(&href), "{href}");
        }
        for href in HOSTILE_HREFS {
            assert!(refused(href), "{href}");
        }
        let all = HOSTILE_HOSTS.len() + HOSTILE_HREFS.len();
        let fault = format!("{all} hostile addresses");
        say(
            "S1",
            &fault,
            "all refused, 0 dialled",
            "all refused, 0 dialled",
        );
        let literals = HOSTILE_HOSTS.iter().filter(|host| {
            Url::parse(&format!("https://{host}/")).is_ok_and(|url| url.domain().is_none())
        });
        let fault = format!("{} literal addresses", literals.count());
        say("S6", &fault, "refused without a resolver", "refused");
    }

    #[test]
    fn the_open_internet_is_allowed() {
        for href in [
            "https://example.com/a.tif",
            "https://example.com:443/a",
            "https://8.8.8.8/a",
            "https://100.63.0.1/",
            "https://172.32.0.1/",
            "https://[2600:1f14::1]/a",
            "https://[2001:200::1]/",
            "https://192.0.1.1/",
        ] {
            assert!(!refused(href), "{href}");
        }
    }

    #[test]
    fn what_the_policy_opens_is_open_and_no_more() {
        let policy = FetchPolicy {
            allow_http: true,
            allow_private_hosts: true,
            ..FetchPolicy::default()
        };
        let open = |href: &str| check(&policy, &Url::parse(href).unwrap()).is_ok();
        assert!(open("http://127.0.0.1:8080/a.tif"));
        assert!(!open("file:///etc/passwd"));
        assert!(!open("http://user:pw@127.0.0.1/"));
    }

    /// S8.
    #[test]
    fn a_list_of_hosts_is_exact() {
        let policy = FetchPolicy {
            allow_http: true,
            hosts: Hosts::new(["data.example.com", ".earth.example"]),
            ..FetchPolicy::default()
        };
        let open = |href: &str| check(&policy, &Url::parse(href).unwrap()).is_ok();
        let allowed = [
            "https://data.example.com/a",
            "https://DATA.example.com/a",
            "https://a.b.earth.example/",
        ];
        let refused = [
            "https://evil-data.example.com/a",
            "https://data.example.com.evil.org/a",
            "https://data.example.com@evil.org/a",
            "https://example.com/a",
            "https://evilearth.example/a",
            "https://8.8.8.8/a",
            "https://127.0.0.1/a",
            "http://localhost/a",
        ];
        let allowed = allowed.iter().filter(|href| open(href)).count();
        let refused = refused.iter().filter(|href| !open(href)).count();
        assert_eq!((allowed, refused), (3, 8));
        let got = format!("{allowed} allowed, {refused} refused");
        say("S8", "a list of 2 hosts", "3 allowed, 8 refused", got);
    }

    /// Leads every name to the same addresses, and counts the questions.
    struct Fixed(Vec<SocketAddr>, std::sync::atomic::AtomicUsize);

    impl Resolve for Fixed {
        fn resolve(&self, _: Name) -> Resolving {
            self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let addresses = self.0.clone();
            Box::pin(async move { Ok(Box::new(addresses.into_iter()) as Addrs) })
        }
    }

    /// S3: the dialler gets the very addresses that were checked, so a name that changes its mind changes nothing.
    #[tokio::test]
    async fn a_name_is_asked_once_and_only_its_public_addresses_are_handed_out() {
        let addresses = ["10.0.0.1:0", "8.8.8.8:0", "[::1]:0", "[2600:1f14::1]:0"];
        let addresses = addresses.map(|text| text.parse::<SocketAddr>().unwrap());
        let inner = Arc::new(Fixed(addresses.to_vec(), 0.into()));
        let guarded = GuardedResolver::new(Arc::<Fixed>::clone(&inner));
        let handed = guarded
            .resolve("mixed.example".parse().unwrap())
            .await
            .unwrap();
        assert_eq!(handed.collect::<Vec<_>>(), [addresses[1], addresses[3]]);
        assert_eq!(inner.1.load(std::sync::atomic::Ordering::SeqCst), 1);
        say(
            "S3",
            "a name that changes its mind",
            "1 question, what was checked is dialled",
            "1 question",
        );
    }

    /// S7 itself is the two properties below.
    #[test]
    fn special_blocks_end_where_they_end() {
        for (inside, outside) in [
            ("10.255.255.255", "11.0.0.0"),
            ("100.127.255.255", "100.128.0.0"),
            ("172.31.255.255", "172.32.0.0"),
            ("169.254.255.255", "169.255.0.0"),
            ("198.19.255.255", "198.20.0.0"),
            ("fdff::", "2600::"),
        ] {
            let public = |text: &str| is_public(text.parse().unwrap());
            assert!(!public(inside) && public(outside), "{inside} {outside}");
        }
        say(
            "S7",
            "addresses of special blocks",
            "none is public",
            "none is public",
        );
    }

    proptest::proptest! {
        /// S7: an independent table of blocks, each address of which is refused.
        #[test]
        fn no_address_of_a_special_block_is_public(block in 0_usize..16, host in proptest::num::u32::ANY) {
            const BLOCKS: [(u32, u32); 16] = [
                (0x0000_0000, 8), (0x0a00_0000, 8), (0x6440_0000, 10), (0x7f00_0000, 8), (0xa9fe_0000, 16),
                (0xac10_0000, 12), (0xc000_0000, 24), (0xc000_0200, 24), (0xc058_6300, 24), (0xc0a8_0000, 16),
                (0xc612_0000, 15), (0xc633_6400, 24), (0xcb00_7100, 24), (0xe000_0000, 4), (0xf000_0000, 4),
                (0xffff_ffff, 32),
            ];
            let (net, bits) = BLOCKS[block];
            let mask = u32::MAX.checked_shr(bits).unwrap_or(0);
            let address = Ipv4Addr::from(net | (host & mask));
            proptest::prop_assert!(!is_public(address.into()), "{}", address);
            proptest::prop_assert!(!is_public(address.to_ipv6_mapped().into()), "{}", address);
        }

        /// S7: IPv6 outside 2000::/3.
        #[test]
        fn no_address_outside_global_unicast_is_public(bits in proptest::num::u128::ANY) {
            let address = Ipv6Addr::from(bits);
            if bits >> 125 != 1 {
                proptest::prop_assert!(!is_public(address.into()), "{}", address);
            }
        }
    }
}

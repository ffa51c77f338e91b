//! Catalogs that a job of someone else's may not make us ask: S1 to S8, for searches.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::*;
use crate::clock::testing::FakeClock;
use crate::fetch::FetchPolicy;
use crate::fetch::guard::tests::{HOSTILE_HOSTS, HOSTILE_HREFS};
use crate::sign::Hosts;

/// Leads every name to these addresses.
struct Leads(Vec<SocketAddr>);

impl Resolve for Leads {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses = self.0.clone();
        Box::pin(async move { Ok(Box::new(addresses.into_iter()) as Addrs) })
    }
}

fn client(reach: Reach, leads_to: &str, clock: &Arc<FakeClock>) -> Client {
    let resolver = Arc::new(Leads(vec![leads_to.parse().unwrap()]));
    let http = reach.http_with(Timeouts::default(), resolver).unwrap();
    Client::new(http, Arc::<FakeClock>::clone(clock)).with_reach(reach)
}

async fn asked(client: &Client, catalog: &str) -> StacError {
    let job = Job::new(catalog.parse().unwrap());
    client.search(&job, &square()).await.unwrap_err()
}

#[tokio::test]
async fn no_hostile_catalog_is_asked() {
    let reach = Reach::within(FetchPolicy::default(), Hosts::default());
    let clock = Arc::new(FakeClock::default());
    let client = client(reach, "8.8.8.8:0", &clock);
    let hosts = HOSTILE_HOSTS
        .iter()
        .map(|host| format!("https://{host}/latest/"));
    let hrefs = HOSTILE_HREFS.iter().map(|href| (*href).to_owned());
    let all: Vec<String> = hosts
        .chain(hrefs)
        .filter(|href| Url::parse(href).is_ok())
        .collect();
    let mut refused = 0;
    for href in &all {
        let error = asked(&client, href).await;
        assert!(
            matches!(error, StacError::NotAllowed(_)),
            "{href}: {error:?}"
        );
        assert_eq!(error.class(), Class::Invalid);
        refused += 1;
    }
    assert!(refused >= 60);
    assert!(clock.waits().is_empty(), "a refusal is not tried again");
    println!(
        "S1  {} hostile catalogs | expected {} refused | got {refused}",
        all.len(),
        all.len()
    );
}

#[tokio::test]
async fn a_public_name_that_leads_home_is_refused() {
    let reach = Reach::within(FetchPolicy::default(), Hosts::default());
    let clock = Arc::new(FakeClock::default());
    for address in ["127.0.0.1:0", "169.254.169.254:0", "[fd00::1]:0"] {
        let error = asked(
            &client(reach.clone(), address, &clock),
            "https://stac.example/",
        )
        .await;
        assert!(matches!(error, StacError::NotAllowed(_)), "{error:?}");
        println!("S2  a name that leads to {address} | expected refused | got refused");
    }
    assert!(clock.waits().is_empty());
}

/// Leads home, and counts how often it is asked.
#[derive(Default)]
struct Counts(std::sync::atomic::AtomicUsize);

impl Resolve for Counts {
    fn resolve(&self, _: Name) -> Resolving {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let addresses: Vec<SocketAddr> = vec!["127.0.0.1:0".parse().unwrap()];
        Box::pin(async move { Ok(Box::new(addresses.into_iter()) as Addrs) })
    }
}

#[tokio::test]
async fn what_is_dialled_is_what_was_checked() {
    let counts = Arc::new(Counts::default());
    let reach = Reach::within(FetchPolicy::default(), Hosts::default());
    let http = reach.http_with(Timeouts::default(), Arc::<Counts>::clone(&counts));
    let client = Client::new(http.unwrap(), Arc::new(FakeClock::default())).with_reach(reach);
    let error = asked(&client, "https://stac.example/").await;
    assert!(matches!(error, StacError::NotAllowed(_)), "{error:?}");
    // A second question might get another answer.
    let asked = counts.0.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(asked, 1);
    println!(
        "S3  a name that leads home | expected asked once, refused | got asked {asked} time, refused"
    );
}

#[test]
fn encryption_is_not_given_up_on_the_way() {
    let https: Url = "https://stac.example/search".parse().unwrap();
    let http: Url = "http://stac.example/search".parse().unwrap();
    let error = call::check_same_server(&https, &http).unwrap_err();
    assert!(matches!(error, StacError::Downgrade { .. }), "{error:?}");
    println!("S5  a redirect or next page from https to http | expected refused | got refused");
}

proptest::proptest! {
    #[test]
    fn no_literal_address_of_a_special_range_is_asked(range in 0_usize..12, host in proptest::num::u32::ANY) {
        const RANGES: [(u32, u32); 12] = [
            (0, 8), (0x0a00_0000, 8), (0x6440_0000, 10), (0x7f00_0000, 8), (0xa9fe_0000, 16), (0xac10_0000, 12),
            (0xc000_0000, 24), (0xc0a8_0000, 16), (0xc612_0000, 15), (0xcb00_7100, 24), (0xe000_0000, 4), (0xf000_0000, 4),
        ];
        let (base, bits) = RANGES[range];
        let address = std::net::Ipv4Addr::from(base | (host & (u32::MAX >> bits)));
        let reach = Reach::within(FetchPolicy::default(), Hosts::default());
        for literal in [
            format!("https://{address}/"),
            format!("https://{}/", u32::from(address)),
            format!("https://[::ffff:{address}]/"),
            format!("https://[64:ff9b::{address}]/"),
        ] {
            let url: Url = literal.parse().unwrap();
            proptest::prop_assert!(matches!(reach.check(&url), Err(StacError::NotAllowed(_))), "{}", literal);
        }
    }
}

#[tokio::test]
async fn a_redirect_into_our_own_networks_is_not_followed() {
    for status in [301, 302, 307, 308] {
        for target in [
            "http://169.254.169.254/latest",
            "http://127.0.0.1:9001/",
            "http://[::1]/",
            "http://localhost/",
        ] {
            let api =
                Api::start(move |_, _| Reply::text(status, "").with("location", target)).await;
            let mut search = api.client.search(&api.job(), &square()).await.unwrap();
            let error = search.next_page().await.unwrap_err();
            assert!(
                matches!(error, StacError::OtherHost { .. }),
                "{target}: {error:?}"
            );
            assert_eq!(api.searches(), 1);
        }
        println!("S4  {status} into our own networks | expected 0 requests there | got 0");
    }
}

#[tokio::test]
async fn an_allow_list_is_exact() {
    let hosts = Hosts::new(["stac.example", ".cloud.example"]);
    let reach = Reach::within(FetchPolicy::default(), hosts);
    for (catalog, allowed) in [
        ("https://stac.example/v1", true),
        ("https://a.cloud.example/", true),
        ("https://evil-stac.example/", false),
        ("https://stac.example.evil.example/", false),
        ("https://cloud.example.evil/", false),
        ("http://stac.example/", false),
    ] {
        let checked = reach.check(&catalog.parse().unwrap());
        assert_eq!(checked.is_ok(), allowed, "{catalog}");
    }
    println!(
        "S8  an allow-list of 2 hosts | expected 2 allowed, 4 refused | got 2 allowed, 4 refused"
    );
}

#[tokio::test]
async fn an_api_at_home_is_asked_where_that_is_allowed() {
    let mut api = Api::start(|_, _| Reply::json(&page(&["1"], None))).await;
    let policy = FetchPolicy {
        allow_http: true,
        allow_private_hosts: true,
        ..FetchPolicy::default()
    };
    api.client = api
        .client
        .with_reach(Reach::within(policy, Hosts::default()));
    let mut search = api.client.search(&api.job(), &square()).await.unwrap();
    assert!(search.next_page().await.unwrap().is_some());
}

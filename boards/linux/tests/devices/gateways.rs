//! Two devices in the role of a gateway, with a plain stack behind each.

use std::cell::RefCell;
use std::net::IpAddr;
use std::pin::pin;

use buttons::cable::{Cable, End};
use buttons::{executor, time};
use embassy_net::{Stack, StackResources};
use firmware::config::{Config, Suite};
use firmware::side_by_side::{self, Wakers};

use crate::stage::*;

/// A plain stack behind a gateway.
pub async fn run_inner(port: End, config: embassy_net::Config, app: impl AsyncFnOnce(Stack<'_>)) {
    let mut resources = StackResources::<4>::new();
    let (stack, mut runner) = embassy_net::new(port, config, &mut resources, 5);
    let wakers: &'static Wakers = Box::leak(Box::new(Wakers::new()));
    let runner = pin!(async { runner.run().await });
    let app = pin!(async {
        app(stack).await;
        std::future::pending().await
    });
    let (a, b) = (pin!(std::future::pending()), pin!(std::future::pending()));
    let (c, d) = (pin!(std::future::pending()), pin!(std::future::pending()));
    side_by_side::run(wakers, [runner, app, a, b, c, d]).await;
}

pub fn inner(config: &Config, last: u8) -> embassy_net::Config {
    let mut out = embassy_net::Config::default();
    for own in &config.interfaces[1].addresses {
        match own.address {
            IpAddr::V4(gateway) => {
                let [a, b, c, _] = gateway.octets();
                out.ipv4 = embassy_net::ConfigV4::Static(embassy_net::StaticConfigV4 {
                    address: embassy_net::Ipv4Cidr::new([a, b, c, last].into(), own.length),
                    gateway: Some(gateway),
                    dns_servers: Default::default(),
                });
            }
            IpAddr::V6(gateway) => {
                let mut octets = gateway.octets();
                octets[15] = last;
                out.ipv6 = embassy_net::ConfigV6::Static(embassy_net::StaticConfigV6 {
                    address: embassy_net::Ipv6Cidr::new(octets.into(), own.length),
                    gateway: Some(gateway),
                    dns_servers: Default::default(),
                });
            }
        }
    }
    out
}

/// RFC 7383: the fragments of one message leave at once. On datagrams of 256 octets an ML-KEM value takes eight.
#[test]
fn two_gateways_take_messages_in_many_fragments() {
    let mut configs = gateways();
    for config in &mut configs {
        config.timing.datagram = 256;
        config.suites = [Suite::PostQuantum].into_iter().collect();
    }
    two_gateways_carry_both_families(&configs);
}

#[test]
fn two_gateways_carry_both_families_through_tunnels() {
    two_gateways_carry_both_families(&gateways());
}

fn two_gateways_carry_both_families(configs: &[Config; 2]) {
    time::make_virtual();
    let (outside, near_inside, far_inside) = (Cable::new(1), Cable::new(2), Cable::new(3));
    let [near, far] = [Surroundings::new(), Surroundings::new()];
    let came_back = RefCell::new(Vec::new());
    let results = &came_back;
    let tasks: Vec<executor::Task> = vec![
        Box::pin(run_gateway(near.board(&configs[0]), [plug(&outside, 1), plug(&near_inside, 11)])),
        Box::pin(run_gateway(far.board(&configs[1]), [plug(&outside, 2), plug(&far_inside, 12)])),
        Box::pin(run_inner(plug(&near_inside, 21), inner(&configs[0], 2), async |stack| {
            for to in ["10.2.0.2", "fd00:b::2"] {
                let n = call(stack, to.parse().unwrap()).await;
                results.borrow_mut().push(n);
            }
        })),
        Box::pin(run_inner(plug(&far_inside, 22), inner(&configs[1], 2), echo)),
    ];
    let main = async {
        until(120, || came_back.borrow().len() == 2).await;
        assert_eq!(*came_back.borrow(), [MARKER.len() + TRANSFER; 2], "{:#?}", near.log.borrow());
        let overheard = overhear(&outside);
        assert!(overheard.other == 0 && overheard.esp > 200, "{overheard:?}");
        let status = near.status().await;
        assert_eq!(status.child_sas.len(), 2, "{status:#?}");
    };
    executor::run(main, tasks).unwrap();
}

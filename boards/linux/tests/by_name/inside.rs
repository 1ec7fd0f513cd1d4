//! Two gateways on one cable with a DNS server, and a plain stack behind each.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::pin::pin;

use buttons::cable::Cable;
use buttons::{executor, time};
use embassy_net::{Config, ConfigV4, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use firmware::side_by_side::{self, Wakers};

use crate::stage::*;

/// A plain stack with this address and this router.
async fn run_inner(cable: &Cable, address: Ipv4Addr, router: Ipv4Addr, app: impl AsyncFnOnce(Stack<'_>)) {
    let mut config = Config::default();
    config.ipv4 = ConfigV4::Static(StaticConfigV4 {
        address: Ipv4Cidr::new(address, 24),
        gateway: Some(router),
        dns_servers: Default::default(),
    });
    let mut resources = StackResources::<4>::new();
    let port = cable.plug([2, 0, 0, 0, 2, address.octets()[3]]);
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

/// Behind near.
pub const NEAR_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
/// Behind far.
pub const FAR_CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

/// What every near is.
const NEAR_ITSELF: &str = r#"role = "gateway"
identity = "near.example"
key = "near.pem"

[[interface]]
device = "wan0"
addresses = ["192.0.2.1/24"]

[[interface]]
device = "lan0"
addresses = ["10.1.0.1/16"]
"#;

/// What every far is, which has near's key.
const FAR_ITSELF: &str = r#"role = "gateway"
identity = "far.example"
key = "far.pem"

[[interface]]
device = "wan0"
addresses = ["192.0.2.2/24"]

[[interface]]
device = "lan0"
addresses = ["198.51.100.1/24"]

[[peer]]
name = "near"
identity = "near.example"
address = "192.0.2.1"
key = "near.pub"
ranges = ["10.1.0.0/16"]
"#;

/// Runs the gateways near (10.1.0.1 inside) and far (198.51.100.1 inside) with this behind what they always are, until
/// `main` is done. `near_app` is behind near, `far_app` behind far, and far itself sends back what arrives.
pub fn with_gateways<T>(
    zone: &Shared,
    [of_near, of_far]: [&str; 2],
    near_app: impl AsyncFnOnce(Stack<'_>, &RefCell<bool>),
    far_app: impl AsyncFnOnce(Stack<'_>, &RefCell<bool>),
    main: impl AsyncFnOnce(&Cable, [&Station; 2], &RefCell<bool>) -> T,
) -> T {
    time::make_virtual();
    let (outside, near_inside, far_inside) = (Cable::new(1), Cable::new(2), Cable::new(3));
    let (of_near, of_far) = (format!("{NEAR_ITSELF}{of_near}"), format!("{FAR_ITSELF}{of_far}"));
    let [near, far, server] = [("near", of_near.as_str()), ("far", &of_far), ("server", OF_SERVER)]
        .map(|(name, text)| Station::new(name, text, false));
    let came_back = RefCell::new(false);
    let tasks: Vec<executor::Task<'_>> = vec![
        Box::pin(near.run_between([&outside, &near_inside], 1, async |_| {})),
        Box::pin(far.run_between([&outside, &far_inside], 2, echo)),
        Box::pin(server.run(&outside, 53, async |stack| serve_dns(stack, zone.clone()).await)),
        Box::pin(run_inner(&near_inside, NEAR_CLIENT, Ipv4Addr::new(10, 1, 0, 1), async |stack| {
            near_app(stack, &came_back).await;
        })),
        Box::pin(run_inner(&far_inside, FAR_CLIENT, Ipv4Addr::new(198, 51, 100, 1), async |stack| {
            far_app(stack, &came_back).await;
        })),
    ];
    executor::run(main(&outside, [&near, &far], &came_back), tasks).unwrap()
}

//! What servers say about themselves in an answer: OPT records, cookies, TC, and that they do not understand.

use super::*;

/// H15, RFC 6891 §6.1.1: OPT twice, in the answer, or of another version.
#[test]
fn impossible_opt_records() {
    let opt = |version: u8| -> Vec<u8> { vec![0, 0, 41, 4, 208, 0, version, 128, 0, 0, 0] };
    let twice = preceded(move |_, mut octets| {
        octets[11] += 1;
        octets.extend(opt(0));
        Some(octets)
    });
    let other_version = preceded(move |_, mut octets| {
        let at = octets.len() - 5;
        octets[at] = 1;
        Some(octets)
    });
    for server in [twice, other_version] {
        let mut world = world(vec![server]);
        assert!(is_secure(&mut world));
        assert!(world.discarded.iter().all(|it| *it == Discarded::BadOpt), "{:?}", world.discarded);
        assert!(!world.discarded.is_empty());
    }
}

/// The cookie that a query carries (RFC 7873 §4): our half and, if known, the server's.
fn cookie_of(asked: &Asked) -> Vec<u8> {
    let octets = &asked.octets;
    let at = octets.windows(2).rposition(|it| it == [0, 10]).unwrap();
    octets[at + 4..].to_vec()
}

/// H15, RFC 7873 §5.3: cookies that are not ours, or of lengths that there are not.
#[test]
fn wrong_cookies() {
    for length in [0, 7, 8, 9, 15, 41] {
        let tree = tree();
        let mut world = world(vec![Box::new(move |asked| {
            let reply = tree.answer(&asked.name(), asked.rtype());
            let mut cookie = cookie_of(asked);
            cookie.resize(length, 7);
            if length == 9 {
                cookie = vec![7; 16];
            }
            let forged = asked.reply_with(&reply, &[(10, cookie)]);
            vec![
                Arrival { after: 5, from: asked.server, octets: Some(forged) },
                Arrival { after: 10, from: asked.server, octets: Some(asked.reply(&reply)) },
            ]
        })]);
        assert!(is_secure(&mut world), "{length}");
        assert!(world.discarded.iter().all(|it| *it == Discarded::BadCookie), "{:?}", world.discarded);
        assert!(!world.discarded.is_empty(), "{length}");
    }
}

/// RFC 7873 §5.3: who has given a cookie gives one always; without it a datagram is forged.
#[test]
fn a_missing_cookie_is_missed() {
    let (tree, forged) = (tree(), Rc::new(Cell::new(0)));
    let count = Rc::clone(&forged);
    let mut world = world(vec![Box::new(move |asked| {
        let reply = tree.answer(&asked.name(), asked.rtype());
        let cookie = [&cookie_of(asked)[..8], &[9; 16]].concat();
        let with_cookie = asked.reply_with(&reply, &[(10, cookie)]);
        if !asked.is_datagram() || cookie_of(asked).len() == 8 {
            return asked.answered(with_cookie);
        }
        assert_eq!(cookie_of(asked)[8..], [9; 16]);
        count.set(count.get() + 1);
        let without = asked.reply(&Reply::empty(Rcode::NXDOMAIN));
        vec![Arrival { after: 5, from: asked.server, octets: Some(without) }]
    })]);
    assert!(is_secure(&mut world));
    assert!(forged.get() > 0);
    assert!(world.discarded.iter().all(|it| *it == Discarded::NoCookie), "{:?}", world.discarded);
    assert!(world.resolver.servers().next().unwrap().cookies);
}

/// RFC 7873 §5.3: BADCOOKIE is answered once with the cookie that came along, then with a connection.
#[test]
fn a_renewed_cookie() {
    for stubborn in [false, true] {
        let tree = tree();
        let mut world = world(vec![Box::new(move |asked| {
            let cookie = [&cookie_of(asked)[..8], &[9; 8]].concat();
            let has_cookie = cookie_of(asked).len() > 8 && !stubborn;
            if has_cookie || !asked.is_datagram() {
                let reply = tree.answer(&asked.name(), asked.rtype());
                return asked.answered(asked.reply_with(&reply, &[(10, cookie)]));
            }
            let mut octets = asked.reply_with(&Reply::empty(Rcode::NOERROR), &[(10, cookie)]);
            let at = octets.len() - 26;
            // BADCOOKIE is 23: 7 in the header, 1 in the OPT record.
            octets[3] |= 7;
            octets[at] = 1;
            asked.answered(octets)
        })]);
        assert!(is_secure(&mut world));
        assert_eq!(world.asked.iter().any(|asked| !asked.is_datagram()), stubborn);
    }
}

/// RFC 7766 §5: TC leads to a connection; what the datagram holds is not looked at.
#[test]
fn truncated_answers() {
    let tree = tree();
    let mut world = world(vec![Box::new(move |asked| {
        let reply = tree.answer(&asked.name(), asked.rtype());
        if !asked.is_datagram() {
            return asked.answered(asked.reply(&reply));
        }
        let mut octets = asked.reply(&reply);
        octets[2] |= 0x02;
        let length = octets.len();
        octets[length - 20..].fill(0xFF);
        asked.answered(octets)
    })]);
    assert!(is_secure(&mut world));
    assert_eq!(world.discarded, []);
}

/// RFC 6891 §6.2: who knows no EDNS is asked on a connection.
#[test]
fn servers_that_do_not_understand() {
    for rcode in [Rcode::FORMERR, Rcode::NOTIMP] {
        let tree = tree();
        let mut world = world(vec![Box::new(move |asked| {
            if !asked.is_datagram() {
                return asked.answered(asked.reply(&tree.answer(&asked.name(), asked.rtype())));
            }
            let mut octets = asked.reply(&Reply::empty(rcode))[..12].to_vec();
            octets[4..12].fill(0);
            asked.answered(octets)
        })]);
        assert!(is_secure(&mut world));
    }
}

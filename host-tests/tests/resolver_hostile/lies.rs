//! Answers that are false: what they prove is nothing, and what becomes of who gave them.

use super::*;

/// One of two servers lies: the other is asked, and the lie changes nothing.
#[test]
fn one_of_two_servers_lies() {
    let liar = changed(|asked, mut reply| {
        if asked.rtype() == Rtype::IPSECKEY {
            let forged = format!("vpn.peer.test. IPSECKEY 1 0 4 . {}", KEY.replace('G', "H"));
            let signatures: Vec<_> = reply.answer.drain(1..).collect();
            reply.answer = vec![record(&forged)];
            reply.answer.extend(signatures);
        }
        reply
    });
    let tree = tree();
    let mut world = world(vec![liar, honest(&tree)]);
    let outcome = world.peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Secure);
    assert_eq!(outcome.keys().next().unwrap().precedence, 10);
}

/// The only server lies, on connections too: bogus, kept for a minute, and no record of it is given away.
#[test]
fn a_lie_is_bogus() {
    let liar = changed(|asked, mut reply| {
        if asked.rtype() == Rtype::A {
            reply.answer[0] = record("vpn.peer.test. A 192.0.2.66");
        }
        reply
    });
    let mut world = world(vec![liar]);
    let outcome = world.peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Bogus(Bogus::BadSignature));
    assert_eq!((outcome.addresses().count(), outcome.keys().count()), (0, 0));
    let begun = world.now;
    assert_eq!(outcome.expires.since(begun).as_secs(), 60);
    world.questions();
    world.peer("vpn.peer.test.");
    assert_eq!(world.questions(), [""; 0]);
}

/// RFC 4035 §4.3: where a zone is signed, an answer without signatures is bogus, not insecure.
#[test]
fn stripped_signatures_are_bogus() {
    let strip = |rtype: Rtype| {
        changed(move |asked, mut reply| {
            if asked.rtype() == rtype {
                for section in [&mut reply.answer, &mut reply.authority] {
                    section.retain(|it| ![Rtype::RRSIG, Rtype::NSEC].contains(&it.rtype()));
                }
            }
            reply
        })
    };
    for rtype in [Rtype::IPSECKEY, Rtype::A, Rtype::DS] {
        let outcome = world(vec![strip(rtype)]).peer("vpn.peer.test.");
        assert_eq!(outcome.security, Security::Bogus(Bogus::NoSignature), "{rtype}");
    }
}

/// The same at the root: the server is of no use for anything, is named, and another one is asked.
#[test]
fn a_server_without_dnssec_is_unfit() {
    let strip = || {
        changed(|_, mut reply| {
            for section in [&mut reply.answer, &mut reply.authority] {
                section.retain(|it| ![Rtype::RRSIG, Rtype::NSEC].contains(&it.rtype()));
            }
            reply
        })
    };
    let outcome = world(vec![strip()]).peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Indeterminate(Indeterminate::Unfit));
    let tree = tree();
    let mut world = world(vec![strip(), honest(&tree)]);
    assert!(is_secure(&mut world));
    assert_eq!(world.resolver.servers().next().unwrap().unfit, Some(Unfit::NoSignatures));
    assert_eq!(world.asked.iter().filter(|it| it.server.ip().to_string() == "192.0.2.53").count(), 1);
}

/// H13: records that nobody asked for are not looked at, wherever they are, and not kept.
#[test]
fn records_that_nobody_asked_for() {
    let unasked = || record("other.plain.test. A 192.0.2.66");
    let mut world = world(vec![changed(move |asked, mut reply| {
        if asked.rtype() == Rtype::A {
            reply.answer.push(unasked());
            reply.authority.push(unasked());
            reply.additional.push(unasked());
        }
        reply
    })]);
    let outcome = world.peer("vpn.plain.test.");
    assert_eq!(outcome.addresses().collect::<Vec<_>>(), ["192.0.2.2".parse::<std::net::IpAddr>().unwrap()]);
    world.questions();
    let outcome = world.records("other.plain.test.", Rtype::A);
    assert!(world.questions().contains(&"other.plain.test. A".to_owned()));
    // It is answered as it was asked for, and then no more than unsigned.
    assert_eq!(outcome.security, Security::Insecure);
}

/// What was wrong with the last answer is still said when no connection brings a better one: who forges
/// datagrams and blocks connections does not turn bogus into unknown.
#[test]
fn the_reason_outlives_a_blocked_connection() {
    let blocked = |mut server: Server| -> Server {
        Box::new(move |asked| match asked.is_datagram() {
            true => server(asked),
            false => vec![Arrival { after: 1, from: asked.server, octets: None }],
        })
    };
    let refusing = changed(|_, _| Reply::empty(Rcode::REFUSED));
    let mut refused = world(vec![blocked(refusing)]);
    let outcome = refused.peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Indeterminate(Indeterminate::Refused(5)));
    assert!(refused.now.as_millis() < 100, "{:?}", refused.now);
    let lying = changed(|asked, mut reply| {
        if asked.rtype() == Rtype::IPSECKEY {
            reply.answer[0] = record(&format!("vpn.peer.test. IPSECKEY 1 0 4 . {KEY}"));
        }
        reply
    });
    let mut lied_to = world(vec![blocked(lying)]);
    let outcome = lied_to.peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Bogus(Bogus::BadSignature));
    assert!(lied_to.now.as_millis() < 1000, "{:?}", lied_to.now);
}

/// A server that takes DS records from the child, which has none, is not believed that the child is unsigned.
#[test]
fn ds_from_the_wrong_side() {
    let wrong_side = || {
        changed(|asked, mut reply| {
            if asked.words() == "peer.test. ds" || asked.words() == "peer.test. DS" {
                let soa = tree().answer(&asked.name(), Rtype::SOA).answer;
                reply.answer.clear();
                reply.authority = soa;
            }
            reply
        })
    };
    let outcome = world(vec![wrong_side()]).peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Bogus(Bogus::NoSignature));
    let tree = tree();
    let mut world = world(vec![wrong_side(), honest(&tree)]);
    assert!(is_secure(&mut world));
    assert_eq!(world.resolver.servers().next().unwrap().unfit, Some(Unfit::ChildSide));
}

/// Who signs in the name of a zone that does not exist is not searched for without end.
#[test]
fn signers_that_do_not_exist() {
    let liar = || {
        changed(|asked, mut reply| {
            let name = asked.name();
            for record in &mut reply.answer {
                if let ZoneRecordData::Rrsig(rrsig) = record.data() {
                    use domain::rdata::Rrsig;
                    let signer = if asked.rtype() == Rtype::IPSECKEY {
                        name.clone()
                    } else {
                        rrsig.signer_name().clone()
                    };
                    let forged = Rrsig::new(
                        rrsig.type_covered(),
                        rrsig.algorithm(),
                        rrsig.labels(),
                        rrsig.original_ttl(),
                        rrsig.expiration(),
                        rrsig.inception(),
                        rrsig.key_tag(),
                        signer,
                        rrsig.signature().clone(),
                    );
                    let forged = ZoneRecordData::Rrsig(forged.unwrap());
                    *record = Record::new(record.owner().clone(), record.class(), Ttl::HOUR, forged);
                }
            }
            reply
        })
    };
    let mut world = world(vec![liar()]);
    let outcome = world.peer("vpn.peer.test.");
    assert_eq!(outcome.security, Security::Bogus(Bogus::NoKey));
    assert!(world.asked.len() <= 12, "{:?}", world.questions());
    let tree = tree();
    assert!(is_secure(&mut self::world(vec![liar(), honest(&tree)])));
}

/// Whatever becomes of answers on their way, nothing false is ever secure, and it all ends in five seconds:
/// octets are changed, cut off, put in and doubled.
#[test]
fn spoilt_answers_prove_nothing_false() {
    let (tree, mut secure, mut others) = (tree(), 0, 0);
    let anchors = tree.anchors();
    for seed in 0..300_u64 {
        let (tree, mut state) = (Rc::clone(&tree), seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut draw = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below.max(1) as u64) as usize
        };
        let server: Server = Box::new(move |asked| {
            let mut octets = asked.reply(&tree.answer(&asked.name(), asked.rtype()));
            // Behind the question: what is in front is matched, and not more interesting.
            let front = 12 + asked.name().len() + 4;
            for _ in 0..draw(3) {
                let at = front + draw(octets.len() - front);
                match draw(4) {
                    0 => octets[at] ^= 1 << draw(8),
                    1 => octets.truncate(at),
                    2 => octets.insert(at, draw(256) as u8),
                    _ => octets.extend_from_within(at..),
                }
                if octets.len() <= front {
                    break;
                }
            }
            asked.answered(octets)
        });
        let mut world = World::new(vec![server], anchors.clone());
        let outcome = world.peer("vpn.peer.test.");
        assert!(world.now.as_millis() <= 5_000);
        if outcome.security == Security::Secure {
            secure += 1;
            assert_eq!(outcome.presence, Presence::Present);
            assert!(outcome.keys().all(|key| key.precedence == 10) && outcome.keys().count() == 1);
            assert!(outcome.addresses().all(|address| address.to_string() == "192.0.2.1"));
        } else {
            others += 1;
        }
    }
    assert!(secure > 20 && others > 20, "{secure} secure, {others} not");
}

//! Why traffic with somebody is encrypted, or is not, as a person reads it: one line that answers, and behind it the
//! chain that the answer hangs on.

use firmware::config::MAX_IDENTITY;
use firmware::management::explanation::{
    DnsLink, Explanation, IkeLink, IkeStage, NextTry, Origin, PolicyAction, PolicyLink, SaLink, Subject,
    Verdict,
};
use ike_core::pad::{Presence, Security};

/// Columns of a line.
const COLUMNS: usize = 80;

/// Exit status where traffic is encrypted.
const ENCRYPTED: u8 = 0;
/// Exit status where it is not.
const NOT_ENCRYPTED: u8 = 1;
/// Exit status where nobody can tell.
pub const UNKNOWN: u8 = 2;

/// What an operator means: an address, or else a name.
///
/// # Errors
/// What to write instead.
pub fn subject(text: &str) -> Result<Subject, String> {
    match text.parse() {
        Ok(address) => Ok(Subject::Address(address)),
        Err(_) => text
            .try_into()
            .map(Subject::Name)
            .map_err(|_| format!("{text}: write an address, or a name of at most {MAX_IDENTITY} characters")),
    }
}

/// The exit status: 0 encrypted, 1 not.
pub const fn exit_status(explanation: &Explanation) -> u8 {
    match explanation.verdict {
        Verdict::Encrypted => ENCRYPTED,
        _ => NOT_ENCRYPTED,
    }
}

/// The answer about what was asked, in one or two lines where they fit in 80 columns.
pub fn show(asked: &str, explanation: &Explanation) -> String {
    let answer = format!("{asked}: {}", answer(explanation));
    let chain = chain(explanation).join(" > ");
    wrap(&answer, ("", "  ")) + &wrap(&chain, ("  ", "    "))
}

/// The verdict, and what decided it.
fn answer(explanation: &Explanation) -> String {
    match explanation.verdict {
        Verdict::Encrypted => "encrypted".to_owned(),
        Verdict::Authenticated => "NOT ENCRYPTED, its SA only authenticates".to_owned(),
        Verdict::Clear => match &explanation.policy {
            Some(policy @ PolicyLink { action: PolicyAction::Protect(_), .. }) => {
                format!("NOT ENCRYPTED, the other end protects nothing; {}", of_policy(policy))
            }
            Some(policy) => {
                format!("NOT ENCRYPTED, bypass by {}{}", of_policy(policy), of_failure(explanation))
            }
            None => "NOT ENCRYPTED".to_owned(),
        },
        Verdict::Discarded => match &explanation.policy {
            Some(policy) => format!("not sent, discarded by {}", of_policy(policy)),
            None => "not sent, no policy matches".to_owned(),
        },
        Verdict::Waiting => format!("not sent, {}", missing(explanation)),
    }
}

/// Why a captured name goes on in clear, if that is known.
fn of_failure(explanation: &Explanation) -> String {
    let reason = explanation.ike.as_ref().and_then(|ike| ike.last_reason.as_ref());
    reason.map_or(String::new(), |reason| format!("; {}", reason.words))
}

/// The first link of the chain that does not hold.
fn missing(explanation: &Explanation) -> String {
    let ike = explanation.ike.as_ref();
    let dns = explanation.dns.as_ref().and_then(of_doubt);
    let since = |at_ms: u64| explanation.at_ms.saturating_sub(at_ms) / 1000;
    match (dns, ike) {
        (Some(doubt), _) => doubt,
        (None, Some(IkeLink { stage: IkeStage::Negotiating, .. })) => "IKE is under way".to_owned(),
        (None, Some(IkeLink { last_reason: Some(reason), .. })) => {
            format!("{} ({} s ago)", reason.words, since(reason.at_ms))
        }
        (None, Some(IkeLink { stage: IkeStage::AwaitsDns, .. })) => "DNS has not answered yet".to_owned(),
        (None, _) => "nothing has asked for an SA yet".to_owned(),
    }
}

/// Why what DNS said does not do, if it does not.
fn of_doubt(dns: &DnsLink) -> Option<String> {
    let because = |what: &str| match &dns.reason {
        Some(reason) => format!("{what}: {reason}"),
        None => what.to_owned(),
    };
    // Where it is about fingerprints it is proven that there is no key.
    match (dns.security, dns.presence, dns.fingerprints) {
        (Security::Secure, Presence::Present, _) => None,
        (Security::Secure, Presence::Absent, false) => Some("DNS proves that there is no key".to_owned()),
        (Security::Secure, Presence::Absent, true) => {
            Some("DNS proves that there is neither a key nor a fingerprint".to_owned())
        }
        (Security::Secure, Presence::OnlyUnusable, false) => {
            Some("DNS has only keys that cannot be used".to_owned())
        }
        (Security::Secure, Presence::OnlyUnusable, true) => {
            Some("DNS has only TLSA records that are no fingerprints (3 1 1)".to_owned())
        }
        (Security::Insecure, _, false) => Some("DNS is not signed there".to_owned()),
        (Security::Insecure, _, true) => {
            Some("DNS has no key, and fingerprints are not signed there".to_owned())
        }
        (Security::Bogus, _, false) => Some(because("DNS is bogus")),
        (Security::Bogus, _, true) => Some(because("DNS has no key, and is bogus about fingerprints")),
        (Security::Indeterminate, _, false) => Some(because("DNS is undecided")),
        (Security::Indeterminate, _, true) => {
            Some(because("DNS has no key, and is undecided about fingerprints"))
        }
    }
}

fn chain(explanation: &Explanation) -> Vec<String> {
    let name = explanation.name.as_ref().map(|name| match name.origin {
        Origin::Configured => name.name.to_string(),
        Origin::Captured => format!("{}, asked for by a client", name.name),
    });
    let policy = explanation.policy.as_ref().map(|policy| match policy.is_partial {
        true => format!("{}, some traffic only", of_policy(policy)),
        false => of_policy(policy),
    });
    let links = [
        Some(policy.unwrap_or_else(|| "no policy".to_owned())),
        name,
        explanation.dns.as_ref().map(of_dns),
        explanation.ike.as_ref().map(of_ike),
        explanation.sa.as_ref().map(of_sa),
    ];
    links.into_iter().flatten().collect()
}

fn of_policy(policy: &PolicyLink) -> String {
    let line = policy.line.map_or(String::new(), |line| format!(", line {line}"));
    match (&policy.name, policy.action) {
        (Some(name), _) => format!("policy {name}{line}"),
        (None, PolicyAction::Protect(_)) => "a found address".to_owned(),
        (None, _) => "a fixed policy".to_owned(),
    }
}

fn of_dns(dns: &DnsLink) -> String {
    let security = match dns.security {
        Security::Secure => "secure",
        Security::Insecure => "insecure",
        Security::Bogus => "bogus",
        Security::Indeterminate => "undecided",
    };
    let presence = match (dns.presence, dns.fingerprints) {
        (Presence::Present, false) => "has keys",
        (Presence::Present, true) => "has fingerprints of keys",
        (Presence::OnlyUnusable, false) => "has no usable key",
        (Presence::OnlyUnusable, true) => "has no usable fingerprint",
        (Presence::Absent, false) => "has no key",
        (Presence::Absent, true) => "has neither key nor fingerprint",
    };
    let server = dns.server.map_or(String::new(), |server| format!(" by {}", server.ip()));
    format!("DNS {security}, {presence}{server} {} s ago, {} s left", dns.age_s, dns.left_s)
}

fn of_ike(ike: &IkeLink) -> String {
    let stage = match ike.stage {
        IkeStage::None => "no IKE SA",
        IkeStage::AwaitsDns => "IKE waits for DNS",
        IkeStage::Negotiating => "IKE is under way",
        IkeStage::Established => "IKE SA stands",
    };
    let stage = match ike.gateway {
        Some(gateway) => format!("{stage} with its gateway {gateway}"),
        None => stage.to_owned(),
    };
    match ike.next {
        None => stage,
        Some(NextTry::WithPacket) => format!("{stage}, tried with the next packet"),
        Some(NextTry::WithPacketIn(ms)) => format!("{stage}, tried with a packet in {} s", ms.div_ceil(1000)),
        Some(NextTry::In(ms)) => format!("{stage}, tried in {} s", ms.div_ceil(1000)),
        Some(NextTry::ByPeer) => format!("{stage}, the peer has to begin"),
    }
}

fn of_sa(sa: &SaLink) -> String {
    let age = sa.age_s.map_or(String::new(), |age| format!(", {age} s old"));
    format!("SA {:08x}, {}{age}", sa.outbound, sa.level.words())
}

/// The text in lines of at most 80 columns where its words allow that.
fn wrap(text: &str, (first, further): (&str, &str)) -> String {
    let (mut lines, mut line) = (String::new(), first.to_owned());
    let mut is_begun = false;
    for word in text.split(' ') {
        if is_begun && line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines += &line;
            lines.push('\n');
            (line, is_begun) = (further.to_owned(), false);
        }
        if is_begun {
            line.push(' ');
        }
        line += word;
        is_begun = true;
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use firmware::management::explanation::NameLink;
    use firmware::management::{Reason, Shown};

    use super::*;

    fn words(text: &str) -> firmware::management::Words {
        text.try_into().unwrap()
    }

    /// Everything in its place.
    fn encrypted() -> Explanation {
        Explanation {
            at_ms: 100_000,
            verdict: Verdict::Encrypted,
            address: "192.0.2.2".parse().ok(),
            policy: Some(PolicyLink {
                name: Some("to far".try_into().unwrap()),
                place: Some(0),
                line: Some(9),
                action: PolicyAction::Protect(esp_engine::spd::Level::Validated),
                is_partial: false,
            }),
            name: Some(NameLink { name: words("far.example"), origin: Origin::Configured }),
            dns: Some(DnsLink {
                security: Security::Secure,
                reason: None,
                presence: Presence::Present,
                fingerprints: false,
                server: "192.0.2.53:53".parse().ok(),
                age_s: 10,
                left_s: 3590,
            }),
            ike: Some(IkeLink {
                peer: Some("far.example".try_into().unwrap()),
                gateway: None,
                stage: IkeStage::Established,
                last_reason: None,
                next: None,
            }),
            sa: Some(SaLink {
                level: Shown(esp_engine::spd::Level::Validated),
                inbound: 1,
                outbound: 0xC0FF_EE01,
                age_s: Some(10),
            }),
        }
    }

    #[test]
    fn a_chain_that_holds_is_told_from_the_policy_to_the_sa() {
        assert_eq!(
            show("192.0.2.2", &encrypted()),
            "192.0.2.2: encrypted
  policy to far, line 9 > far.example > DNS secure, has keys by 192.0.2.53 10 s
    ago, 3590 s left > IKE SA stands > SA c0ffee01, validated by DNSSEC, 10 s
    old\n"
        );
        assert_eq!(exit_status(&encrypted()), 0);
    }

    /// RFC 4025 §2.5: whose SA it is that somebody is behind.
    #[test]
    fn a_gateway_is_told() {
        let gateway = "203.0.113.1".parse().ok();
        let ike = encrypted().ike.map(|ike| IkeLink { gateway, ..ike });
        let text = show("192.0.2.2", &Explanation { ike, ..encrypted() });
        assert!(text.contains("IKE SA stands with its gateway"), "{text}");
        assert!(text.contains("203.0.113.1 > SA"), "{text}");
    }

    #[test]
    fn the_first_link_that_does_not_hold_is_the_answer() {
        let waiting = Explanation { verdict: Verdict::Waiting, sa: None, ..encrypted() };
        let first = |explanation: &Explanation| {
            assert_eq!(exit_status(explanation), 1);
            let text = show("far.example", explanation);
            assert!(text.lines().all(|line| line.len() <= COLUMNS), "{text}");
            text.lines().next().unwrap().to_owned()
        };
        let bogus = DnsLink {
            security: Security::Bogus,
            reason: Some(words("the signature has expired")),
            ..waiting.dns.clone().unwrap()
        };
        assert_eq!(
            first(&Explanation { dns: Some(bogus), ..waiting.clone() }),
            "far.example: not sent, DNS is bogus: the signature has expired"
        );
        let undecided = DnsLink {
            security: Security::Indeterminate,
            reason: Some(words("no server answered")),
            fingerprints: true,
            ..waiting.dns.clone().unwrap()
        };
        assert_eq!(
            first(&Explanation { dns: Some(undecided), ..waiting.clone() }),
            "far.example: not sent, DNS has no key, and is undecided about fingerprints: no"
        );
        let reason = Reason { at_ms: 97_000, words: words("no answer to IKE_SA_INIT") };
        let ike = IkeLink {
            peer: None,
            gateway: None,
            stage: IkeStage::None,
            last_reason: Some(reason),
            next: Some(NextTry::WithPacketIn(1_500)),
        };
        let silent = Explanation { ike: Some(ike), ..waiting };
        assert_eq!(first(&silent), "far.example: not sent, no answer to IKE_SA_INIT (3 s ago)");
        assert!(show("x", &silent).contains("no IKE SA, tried with a packet in 2 s"));
        let bypass = PolicyLink { action: PolicyAction::Bypass, ..silent.policy.clone().unwrap() };
        let clear = Explanation { verdict: Verdict::Clear, policy: Some(bypass), ike: None, ..silent };
        assert_eq!(first(&clear), "far.example: NOT ENCRYPTED, bypass by policy to far, line 9");
    }

    /// Where a captured name could not be protected, the policy behind its entry decides, and the name is told with it.
    #[test]
    fn a_captured_name_that_goes_on_in_clear_is_told() {
        let bypass = PolicyLink {
            name: Some("rest".try_into().unwrap()),
            action: PolicyAction::Bypass,
            ..encrypted().policy.unwrap()
        };
        let name = NameLink { name: words("www.example"), origin: Origin::Captured };
        let clear = Explanation {
            verdict: Verdict::Clear,
            policy: Some(bypass),
            name: Some(name),
            ike: Some(IkeLink {
                peer: None,
                gateway: None,
                stage: IkeStage::None,
                last_reason: Some(Reason { at_ms: 97_000, words: words("no answer to IKE_SA_INIT") }),
                next: None,
            }),
            sa: None,
            ..encrypted()
        };
        assert_eq!(
            show("198.51.100.7", &clear),
            "198.51.100.7: NOT ENCRYPTED, bypass by policy rest, line 9; no answer to
  IKE_SA_INIT
  policy rest, line 9 > www.example, asked for by a client > DNS secure, has
    keys by 192.0.2.53 10 s ago, 3590 s left > no IKE SA\n"
        );
    }

    #[test]
    fn an_address_is_one_and_all_else_is_a_name() {
        assert_eq!(subject("2001:db8::1"), Ok(Subject::Address("2001:db8::1".parse().unwrap())));
        assert_eq!(subject("b"), Ok(Subject::Name("b".try_into().unwrap())));
        assert!(subject(&"x".repeat(65)).unwrap_err().contains("64 characters"));
    }
}

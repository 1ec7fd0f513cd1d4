//! A secret shared with a server, in a file as the server's own tool wrote it:
//! ```text
//! key "b.example.net" { algorithm hmac-sha256; secret "…"; };      tsig-keygen (BIND)
//! key:                                                             keymgr -t (Knot)
//!   - id: b.example.net
//!     algorithm: hmac-sha256
//!     secret: …
//! ```

use std::path::Path;

use base64ct::{Base64, Encoding};
use ike_core::discovery::Name;
use ike_core::discovery::update::{BadSecret, TsigKey};
use zeroize::Zeroizing;

use crate::key::{self, dns};

/// Reads a secret, if nobody but its owner can.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn read(file: &Path) -> Result<TsigKey, String> {
    let (name, secret) = read_parts(file)?;
    // It was one a moment ago.
    TsigKey::new(name, &secret).map_err(|bad| format!("{bad:?}"))
}

/// The same as name and octets, as a device keeps them.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn read_parts(file: &Path) -> Result<(Name, Zeroizing<Vec<u8>>), String> {
    let text = key::read_private_text(file).map_err(|error| format!("{}: {error}", file.display()))?;
    parse(&text).map_err(|reason| format!("{}: {reason}", file.display()))
}

fn parse(text: &str) -> Result<(Name, Zeroizing<Vec<u8>>), String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with(['#', '/']));
    let words: Zeroizing<Vec<String>> = Zeroizing::new(
        lines
            .flat_map(|line| line.split(|c: char| c.is_whitespace() || "\"{};".contains(c)))
            .map(|word| word.trim_end_matches(':').to_owned())
            .filter(|word| !word.is_empty() && word != "-")
            .collect(),
    );
    let behind = |titles: &[&str]| {
        let at = words.windows(2).position(|pair| titles.contains(&pair[0].as_str()) && pair[1] != "id")?;
        words.get(at + 1)
    };
    let (Some(name), Some(algorithm), Some(secret)) =
        (behind(&["key", "id"]), behind(&["algorithm"]), behind(&["secret"]))
    else {
        return Err("not a TSIG key: make one with `tsig-keygen NAME` or `keymgr -t NAME`".into());
    };
    if !algorithm.eq_ignore_ascii_case("hmac-sha256") {
        return Err(format!(
            "its algorithm is {algorithm}: make a key for hmac-sha256, with `tsig-keygen NAME` \
             or `keymgr -t NAME hmac-sha256`"
        ));
    }
    let secret = Base64::decode_vec(secret).map(Zeroizing::new).map_err(|_| "its secret is no base64")?;
    let name = dns::host_name(name)?;
    match TsigKey::new(name.clone(), &secret) {
        Ok(_) => Ok((name, secret)),
        Err(BadSecret::Short) => {
            Err(format!("its secret has less than {} octets and can be guessed", TsigKey::MIN_SECRET))
        }
        Err(BadSecret::Long) => Err(format!("its secret has more than {} octets", TsigKey::MAX_SECRET)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the tools wrote it.
    #[test]
    fn secrets_of_bind_and_knot_are_read() {
        let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        for text in [
            format!("key \"b.example.net\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{secret}\";\n}};\n"),
            format!(
                "# hmac-sha256:b.example.net:{secret}\nkey:\n- id: b.example.net\n  algorithm: hmac-sha256\n  \
                 secret: {secret}\n"
            ),
        ] {
            let (name, octets) = parse(&text).unwrap();
            assert_eq!((name.to_string().as_str(), octets.len()), ("b.example.net", 32), "{text}");
        }
    }

    #[test]
    fn what_is_no_secret_is_told_with_the_tool_that_makes_one() {
        assert!(parse("nothing").unwrap_err().contains("tsig-keygen"));
        let key = |algorithm, secret| {
            parse(&format!("key \"b\" {{ algorithm {algorithm}; secret \"{secret}\"; }};")).unwrap_err()
        };
        assert!(key("hmac-md5", "AAAA").contains("keymgr -t NAME hmac-sha256"));
        assert!(key("hmac-sha256", "AAAA").contains("16 octets"));
        assert!(key("hmac-sha256", "?").contains("base64"));
    }
}

//! Dial strings: how a service code is written, and what a deep dial adds to it.

/// The longest dial string taken, in characters. A handset dials at most 182.
pub const DIAL_CHARS_MAX: usize = 182;

/// The code in its one spelling: `121` and `*121` are `*121#`. `None` when it is not a dial string of digits, `*` and `#`.
pub fn normalize(raw: &str) -> Option<String> {
    let raw = raw.trim();
    let dialable = raw
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'*' | b'#'));
    let numbered = raw.bytes().any(|byte| byte.is_ascii_digit());
    if !dialable || !numbered || raw.len() > DIAL_CHARS_MAX {
        return None;
    }
    let head = if raw.starts_with('*') { "" } else { "*" };
    let tail = if raw.ends_with('#') { "" } else { "#" };
    Some(format!("{head}{raw}{tail}"))
}

/// What a dialled string answers in advance: `1*2` for `*384*7*1*2#` on `*384*7#`, nothing for the bare code. `None` when it dials
/// another code. What is dialled ahead may hold letters; a handset cannot type them, a saved contact can.
pub fn dialled_ahead<'a>(dialled: &'a str, code: &str) -> Option<&'a str> {
    let dialled = dialled.trim().strip_suffix('#')?;
    let code = code.strip_suffix('#')?;
    match dialled.strip_prefix(code)? {
        "" => Some(""),
        rest => rest.strip_prefix('*'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_one_spelling() {
        for (raw, code) in [
            ("*384*7#", Some("*384*7#")),
            ("384*7", Some("*384*7#")),
            ("121", Some("*121#")),
            (" *121 ", Some("*121#")),
            ("#100#", Some("*#100#")),
            ("", None),
            ("*#", None),
            ("5f1c3a", None),
            ("*384*7#\n*1#", None),
        ] {
            assert_eq!(normalize(raw).as_deref(), code, "{raw:?}");
        }
        assert_eq!(normalize(&"1".repeat(DIAL_CHARS_MAX + 1)), None);
    }

    #[test]
    fn a_deep_dial_is_what_follows_the_code() {
        for (dialled, ahead) in [
            ("*384*7#", Some("")),
            ("*384*7*1*Nakuru#", Some("1*Nakuru")),
            ("*384*7*#", Some("")),
            ("*384*77#", None),
            ("*384#", None),
            ("*384*7", None),
        ] {
            assert_eq!(dialled_ahead(dialled, "*384*7#"), ahead, "{dialled:?}");
        }
    }
}

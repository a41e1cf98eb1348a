//! Which encoding a client takes.

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Brotli,
    Gzip,
    Plain,
}

impl Encoding {
    /// As `Content-Encoding` has it; nothing where the header is left out.
    pub(crate) const fn word(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Plain => None,
        }
    }

    /// What a tag ends with: each form of a file has its own.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => "-br",
            Self::Gzip => "-gz",
            Self::Plain => "",
        }
    }

    /// Whether `Accept-Encoding` has it, and not with a weight of 0.
    pub(crate) fn is_accepted(self, accepted: Option<&str>) -> bool {
        let Some(word) = self.word() else { return true };
        let weighed = |name: &str| {
            accepted?.split(',').find_map(|one| {
                let mut parts = one.split(';').map(str::trim);
                parts.next().filter(|found| found.eq_ignore_ascii_case(name))?;
                let weight = parts.find_map(|part| part.strip_prefix("q="));
                Some(weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0)))
            })
        };
        weighed(word).or_else(|| weighed("*")).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_used_if_the_client_takes_it() {
        let takes = |accepted: &str| Encoding::Brotli.is_accepted(Some(accepted));
        assert!(takes("gzip, deflate, br, zstd"));
        assert!(takes("BR;q=0.5"));
        assert!(takes("gzip;q=1.0, *;q=0.1"));
        assert!(!takes("gzip"));
        assert!(!takes("br;q=0, gzip"));
        assert!(!takes("*, br;q=0.0"), "its own weight counts, not that of the others");
        assert!(!takes("br;q=x"));
        assert!(!Encoding::Gzip.is_accepted(None));
        assert!(Encoding::Plain.is_accepted(None));
    }
}

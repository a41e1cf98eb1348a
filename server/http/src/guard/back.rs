//! The page of the dashboard on which someone begins to sign in, and is afterwards.

use data_encoding::BASE64URL_NOPAD;

/// Bytes of a page's address, at most: a cookie has 4096 with all that is in it.
const BYTES_MAX: usize = 2000;

/// A page of the dashboard, by its path on this server. It never leads to another site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Back(String);

impl Default for Back {
    fn default() -> Self {
        Self("/".to_owned())
    }
}

impl Back {
    /// The page with this path and query; nothing if a browser could be led elsewhere by it.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        // Browsers take a backslash for a slash, pass over tabs and ends of lines, and read a host behind two slashes.
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let is_path = text.starts_with('/') && !text.starts_with("//");
        let is_page = !text.starts_with("/api/");
        (is_plain && is_path && is_page && text.len() <= BYTES_MAX).then(|| Self(text.to_owned()))
    }

    /// Its address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a browser keeps while it is at an issuer: the secret of the login, with the page.
    #[must_use]
    pub fn kept_with(&self, secret: &str) -> String {
        format!("{secret}.{}", BASE64URL_NOPAD.encode(self.0.as_bytes()))
    }

    /// The secret of the login and the page. What a browser sends may have been changed, so the page is looked at again.
    #[must_use]
    pub fn from_kept(text: &str) -> (&str, Self) {
        let (secret, page) = text.split_once('.').unwrap_or((text, ""));
        let page = BASE64URL_NOPAD.decode(page.as_bytes()).ok().and_then(|page| String::from_utf8(page).ok());
        (secret, page.as_deref().and_then(Self::new).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;

    use super::{BYTES_MAX, Back};

    #[test]
    fn a_page_of_this_server_is_kept_with_the_login() {
        let page = Back::new("/snapshots/main/4f/files?path=%2Fsrv%2Fwww&x=//a").expect("a page");
        let kept = page.kept_with("secret");
        assert!(kept.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{kept}");
        assert_eq!(Back::from_kept(&kept), ("secret", page));
        assert_eq!(Back::from_kept("secret"), ("secret", Back::default()));
    }

    #[test]
    fn nothing_leads_to_another_site() {
        let long = format!("/{}", "x".repeat(BYTES_MAX));
        for text in [
            "",
            "plans",
            "https://evil.example.org",
            "//evil.example.org",
            "/\\evil.example.org",
            "/\t/evil.example.org",
            "/plans\r\nSet-Cookie: a=b",
            "/plans of mine",
            "/pläne",
            "/api/v1/session/oidc",
            long.as_str(),
        ] {
            assert_eq!(Back::new(text), None, "{text:?}");
            let kept = format!("secret.{}", BASE64URL_NOPAD.encode(text.as_bytes()));
            assert_eq!(Back::from_kept(&kept), ("secret", Back::default()), "{text:?}");
        }
    }
}

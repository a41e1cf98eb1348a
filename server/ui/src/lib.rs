//! The dashboard as the program has it inside: from a path to the bytes and headers of an answer. It knows no server and no
//! connection: who has asked and what else every answer says (the policy, the protection against frames) is the server's.

mod assets;
mod encoding;

use assets::Asset;
use encoding::Encoding;

pub use assets::IS_BUILT;

/// What is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// The path, without a query: `/plans/www`.
    pub path: &'a str,
    /// The header `Accept-Encoding`.
    pub accept_encoding: Option<&'a str>,
    /// The header `If-None-Match`.
    pub if_none_match: Option<&'a str>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200, 304 or 404.
    pub status: u16,
    /// Headers in lower case, and their values.
    pub headers: Vec<(&'static str, String)>,
    /// The body, as it is encoded.
    pub body: &'static [u8],
}

/// Answers a `GET`. For a `HEAD`, leave out the body.
///
/// A path that names no file is a page of the dashboard, which finds out itself what to show, and whether there is such a
/// page. Below `/assets/` there are only files.
#[must_use]
pub fn answer(request: &Request<'_>) -> Answer {
    let asset = find(request.path).or_else(|| {
        let is_page = !request.path.starts_with("/assets/");
        is_page.then(|| find("/index.html")).flatten()
    });
    let Some(asset) = asset else {
        return Answer {
            status: 404,
            headers: vec![
                ("content-type", "text/plain; charset=utf-8".to_owned()),
                ("cache-control", "no-store".to_owned()),
            ],
            body: b"There is no such file. The program was updated: reload the page.\n",
        };
    };
    let (encoding, body) = asset.encoded(request.accept_encoding);
    let tag = format!("\"{}{}\"", asset.tag, encoding.suffix());
    let mut headers = vec![
        ("etag", tag.clone()),
        ("vary", "accept-encoding".to_owned()),
        ("cache-control", asset.cache_control().to_owned()),
    ];
    if request.if_none_match.is_some_and(|known| matches(known, &tag)) {
        return Answer { status: 304, headers, body: b"" };
    }
    headers.push(("content-type", asset.content_type.to_owned()));
    if let Some(word) = encoding.word() {
        headers.push(("content-encoding", word.to_owned()));
    }
    Answer { status: 200, headers, body }
}

fn find(path: &str) -> Option<&'static Asset> {
    let at = assets::ASSETS.binary_search_by(|asset| asset.path.cmp(path)).ok()?;
    assets::ASSETS.get(at)
}

/// Whether a list of `If-None-Match` has a tag. A proxy may have made it a weak one.
fn matches(known: &str, tag: &str) -> bool {
    known.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

impl Asset {
    fn encoded(&self, accepted: Option<&str>) -> (Encoding, &'static [u8]) {
        let offers = [(Encoding::Brotli, self.brotli), (Encoding::Gzip, self.gzip)];
        let chosen = offers.into_iter().find_map(|(encoding, bytes)| {
            encoding.is_accepted(accepted).then_some(bytes?).map(|bytes| (encoding, bytes))
        });
        chosen.unwrap_or((Encoding::Plain, self.plain))
    }

    fn cache_control(&self) -> &'static str {
        if self.is_immutable {
            "public, max-age=31536000, immutable"
        } else {
            // The page names the files that belong to it, so it is asked for each time.
            "no-cache"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
        answer.headers.iter().find(|(one, _)| *one == name).map(|(_, value)| value.as_str())
    }

    fn get(path: &str) -> Answer {
        answer(&Request { path, ..Request::default() })
    }

    #[test]
    fn any_page_is_the_page_of_the_dashboard_and_is_asked_for_each_time() {
        for path in ["/", "/plans/www", "/plans/a.b", "/index.html"] {
            let page = get(path);
            assert_eq!(page.status, 200, "{path}");
            assert_eq!(header(&page, "content-type"), Some("text/html; charset=utf-8"));
            assert_eq!(header(&page, "cache-control"), Some("no-cache"));
            assert!(page.body.starts_with(b"<!doctype html>"), "{path}");
        }
    }

    #[test]
    fn a_file_of_an_older_program_is_not_found_and_is_no_page() {
        let gone = get("/assets/index-0LD.js");
        assert_eq!((gone.status, header(&gone, "cache-control")), (404, Some("no-store")));
        assert_eq!(header(&gone, "content-type"), Some("text/plain; charset=utf-8"));
    }

    #[test]
    fn a_path_leads_to_no_other_file() {
        for path in ["/assets/../index.html", "/assets/..%2findex.html", "/assets/"] {
            assert_eq!(get(path).status, 404, "{path}");
        }
        assert_eq!(get("/../../etc/passwd").body, get("/").body);
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let page = get("/");
        let tag = header(&page, "etag").expect("it has a tag");
        let with =
            |known: &str| answer(&Request { path: "/", if_none_match: Some(known), ..Request::default() });
        for known in [tag.to_owned(), format!("\"other\", W/{tag}"), "*".to_owned()] {
            let same = with(&known);
            assert_eq!(
                (same.status, same.body, header(&same, "etag")),
                (304, &b""[..], Some(tag)),
                "{known}"
            );
        }
        assert_eq!(with("\"other\"").status, 200);
    }

    #[test]
    fn files_are_in_the_order_that_they_are_looked_for() {
        assert!(assets::ASSETS.is_sorted_by(|one, other| one.path < other.path));
    }

    #[test]
    fn compressed_forms_are_smaller_and_have_tags_of_their_own() {
        for asset in assets::ASSETS {
            let all = [asset.brotli, asset.gzip];
            assert!(all.into_iter().flatten().all(|bytes| bytes.len() < asset.plain.len()), "{}", asset.path);
            if asset.brotli.is_none() {
                continue;
            }
            let request =
                Request { path: asset.path, accept_encoding: Some("gzip, br"), if_none_match: None };
            let compressed = answer(&request);
            assert_eq!(header(&compressed, "content-encoding"), Some("br"));
            assert_ne!(header(&compressed, "etag"), header(&get(asset.path), "etag"));
            assert_eq!(get(asset.path).body, asset.plain);
        }
    }
}

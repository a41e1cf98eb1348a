//! A browser at pages of others: it keeps cookies, follows redirects as long as they stay there, and sends forms.

use std::collections::BTreeMap;

use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Method, Url};
use tokio::runtime::Runtime;

use crate::desk::PATIENCE;

/// Redirects one after another, at most.
const REDIRECTS_MAX: usize = 10;

/// A browser.
pub struct Visitor {
    runtime: Runtime,
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
    at: Url,
    /// The page; none after it was sent to another site.
    page: Option<String>,
}

impl Visitor {
    /// One without cookies that goes to an address.
    pub fn to(address: &str) -> Self {
        let mut visitor = Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            http: reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap(),
            cookies: BTreeMap::new(),
            at: Url::parse(address).unwrap(),
            page: None,
        };
        visitor.go(Method::GET, None);
        visitor
    }

    /// Whether it is at a page that has these words.
    pub fn sees(&self, words: &str) -> bool {
        self.page.as_ref().is_some_and(|page| page.contains(words))
    }

    /// Fills in the page's form, and sends it with what the page has put into it.
    #[track_caller]
    pub fn send(&mut self, name: &str, value: &str) {
        let page = self.page.take().unwrap();
        let mut forms = page.split("<form").skip(1).filter_map(|form| form.split("</form>").next());
        let form = forms.find(|form| form.contains("csrf_token")).unwrap_or_else(|| panic!("{page}"));
        let mut fields = vec![(name.to_owned(), value.to_owned())];
        for input in form.split("<input").skip(1).filter_map(|input| input.split('>').next()) {
            if input.contains("type=\"hidden\"") {
                fields.push((attribute(input, "name").unwrap(), attribute(input, "value").unwrap()));
            }
        }
        if let Some(action) = attribute(form, "action").filter(|action| !action.is_empty()) {
            self.at = self.at.join(&action).unwrap();
        }
        let mut encoded = Url::parse("http://x/").unwrap();
        encoded.query_pairs_mut().extend_pairs(&fields);
        self.go(Method::POST, encoded.query().map(str::to_owned));
    }

    /// The query with which it was sent to another site, at this address.
    #[track_caller]
    pub fn sent_to(&self, address: &str) -> String {
        assert!(self.page.is_none(), "{}: {:?}", self.at, self.page);
        assert!(self.at.as_str().starts_with(&format!("{address}?")), "{}", self.at);
        format!("?{}", self.at.query().unwrap())
    }

    fn go(&mut self, mut method: Method, mut form: Option<String>) {
        let site = self.at.origin();
        for _ in 0..REDIRECTS_MAX {
            let mut request = self.http.request(method, self.at.clone()).timeout(PATIENCE);
            let cookies: Vec<_> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(COOKIE, cookies.join("; "));
            if let Some(form) = form.take() {
                request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
            }
            let (headers, text) = self.runtime.block_on(async {
                let response = request.send().await.unwrap();
                (response.headers().clone(), response.text().await.unwrap())
            });
            for line in headers.get_all(SET_COOKIE) {
                let pair = line.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
            let Some(next) = headers.get(LOCATION) else {
                self.page = Some(text);
                return;
            };
            self.at = self.at.join(next.to_str().unwrap()).unwrap();
            if self.at.origin() != site {
                return;
            }
            method = Method::GET;
        }
        panic!("it is sent around in a circle, to {} at last", self.at);
    }
}

/// An attribute of the first element that has it.
fn attribute(text: &str, name: &str) -> Option<String> {
    let (_, value) = text.split_once(&format!(" {name}=\""))?;
    Some(value.split('"').next()?.replace("&amp;", "&"))
}

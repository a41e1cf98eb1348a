//! A client of the API.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use reqwest::redirect::Policy;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::desk::PATIENCE;

/// A client, with what it shows.
pub struct Client {
    runtime: Runtime,
    http: reqwest::Client,
    base: String,
    /// What it sends with each request.
    pub headers: HeaderMap,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as far as it is text.
    pub text: String,
    /// Its body.
    pub bytes: Vec<u8>,
}

impl Client {
    /// A client that shows nothing.
    pub fn new(base: &str) -> Self {
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            http: reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap(),
            base: base.to_owned(),
            headers: HeaderMap::new(),
        }
    }

    /// A client that trusts only this authority, in PEM.
    pub fn trusting(base: &str, authority: &str) -> Self {
        let authority = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build().unwrap();
        Self { http, ..Self::new(base) }
    }

    /// Whether an answer comes.
    pub fn reaches(&self) -> bool {
        let asked = self.http.get(format!("{}/api/v1/health", self.base)).timeout(PATIENCE);
        let answer = self.runtime.block_on(async { asked.send().await });
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    /// With another header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers.insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    /// The same client once more.
    pub fn again(&self) -> Self {
        Self { headers: self.headers.clone(), ..Self::new(&self.base) }
    }

    /// Sends a request to a path below `/api/v1`.
    pub fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.http.request(method, format!("{}/api/v1{path}", self.base));
        request = request.headers(self.headers.clone()).timeout(PATIENCE);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let bytes = response.bytes().await.unwrap().to_vec();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Answer { status, headers, text, bytes }
        })
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None)
    }

    pub fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body))
    }

    pub fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body))
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None)
    }

    /// Changes what has this tag.
    pub fn put_if(&self, tag: &str, path: &str, body: Value) -> Answer {
        self.again().with("if-match", tag).put(path, body)
    }

    /// Removes what has this tag.
    pub fn delete_if(&self, tag: &str, path: &str) -> Answer {
        self.again().with("if-match", tag).delete(path)
    }

    /// Signs in, and shows the cookies from then on.
    #[track_caller]
    pub fn sign_in(&mut self, path: &str, body: Value) -> Answer {
        let answer = self.post(path, body).is(201);
        let cookies = answer.headers.get_all(SET_COOKIE).iter();
        let cookies: Vec<&str> =
            cookies.map(|line| line.to_str().unwrap().split(';').next().unwrap()).collect();
        self.headers.insert(COOKIE, HeaderValue::from_str(&cookies.join("; ")).unwrap());
        answer
    }

    /// Asks until the answer is so.
    #[track_caller]
    pub fn wait(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let document = self.get(path).is(200).json();
            if is_so(&document) {
                return document;
            }
            assert!(Instant::now() < until, "{path}: {document:#}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// A connection on which anything can be sent.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.base.split_once("://").unwrap().1).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// What is answered to these bytes.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // The server may have answered and closed before it has read all of it.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Answer {
    /// Fails if the status is another one.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Fails if it isn't this error.
    #[track_caller]
    pub fn fails(self, status: u16, code: &str) -> Self {
        let answer = self.is(status);
        assert_eq!(answer.headers[CONTENT_TYPE], "application/problem+json");
        assert_eq!(answer.json()["code"], code, "{}", answer.text);
        answer
    }

    /// A header.
    #[track_caller]
    pub fn header(&self, name: &str) -> String {
        self.headers[name].to_str().unwrap().to_owned()
    }

    /// The body as a document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

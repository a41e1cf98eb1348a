//! Secrets that others can read, and doors that stand open.

use std::path::Path;

use crate::config::Config;
use crate::diagnostic::code::Code;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::files::Facts;

pub(super) fn check(config: &Config, facts: &dyn Facts, diagnostics: &mut Diagnostics) {
    for (file, origin) in config.effective.secret_files() {
        if facts.is_readable_by_others(Path::new(&file)) == Some(true) {
            let message = format!("{file} can be read by other users of this machine");
            let diagnostic = Diagnostic::new(Code::SecretReadable, message).at(origin);
            diagnostics.add(diagnostic.help(format!("chmod 600 {file}")));
        }
    }
    check_doors(config, diagnostics);
}

fn check_doors(config: &Config, diagnostics: &mut Diagnostics) {
    let server = &config.server.value;
    if !server.listen.value.is_local() && server.tls.is_none() && !server.behind_proxy {
        let message = "the server would be open to the network without TLS";
        let diagnostic = Diagnostic::new(Code::Listen, message).at(server.listen.origin);
        diagnostics
            .add(diagnostic.help("add `tls`, or `behind_proxy = true`, or listen to `127.0.0.1:8400`"));
    }
    if let Some(metrics) = &server.metrics
        && !metrics.listen.value.is_local()
        && metrics.token.is_none()
    {
        let message = "metrics would be open to the network without a token";
        let diagnostic = Diagnostic::new(Code::Listen, message).at(metrics.listen.origin);
        diagnostics.add(diagnostic.help("add `token = { file = \"…\" }`"));
    }
}

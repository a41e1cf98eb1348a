//! `keepfast config reload`.

use anyhow::Result;
use keepfast_config::config::Config;
use keepfast_server::control::{self, ControlError};
use keepfast_server::state;

use crate::args::Common;
use crate::usage::Usage;
use crate::{Outcome, lines, render};

/// Asks the server of this machine to read its definitions again, and says what came of it. `config` is what this process
/// sees of them; the server may see other variables.
pub fn run(common: &Common, config: &Config) -> Result<Outcome> {
    let folder = state::folder(config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let reloaded = match runtime.block_on(control::reload(&folder)) {
        Ok(reloaded) => reloaded,
        Err(error @ ControlError::Unreachable { .. }) => {
            return Err(anyhow::Error::new(error).context(
                "the definitions are valid, and no server follows them yet: `keepfast serve` starts one, and `keepfast \
                 doctor` says whether one runs",
            ));
        }
        Err(error) => return Err(error.into()),
    };
    if common.json {
        render::document(&reloaded);
    } else {
        lines::raw(reloaded.report.as_bytes());
        reloaded.remarks.iter().for_each(|remark| render::note("warning", remark, false));
    }
    if !reloaded.is_followed {
        return Err(Usage(
            "the server finds errors in the definitions, and goes on with those of before".to_owned(),
        )
        .into());
    }
    if !common.json && !common.quiet {
        render::line("the server follows the definitions as they are now");
    }
    Ok(if reloaded.remarks.is_empty() { Outcome::Complete } else { Outcome::WithFindings })
}

//! `keepfast config wizard`: asks, tries the connection, and writes a first configuration.

mod answers;
mod document;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use keepfast_config::config::Config;
use keepfast_config::files::{Files, Limits};
use keepfast_config::load::{Loaded, load};
use keepfast_engine::EngineError;
use keepfast_operations::OperationsError;
use keepfast_operations::open::{Access, Mode, SharedRepository};
use keepfast_operations::requests::{Init, init};
use keepfast_server::convert::place;
use keepfast_server::definitions::{ThisMachine, USUAL_FILE};
use keepfast_server::state;
use serde::Serialize;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use self::answers::{Answers, Secret};
use crate::args::Common;
use crate::console::Console;
use crate::prompt::Prompt;
use crate::usage::Usage;
use crate::{Outcome, lines, render, secrets, settings};

/// How often a person may say again where the password is.
const TRIES: u32 = 3;

/// What came of it, for scripts.
#[derive(Serialize)]
struct WizardDocument {
    file: String,
    password_file: Option<String>,
    repository: &'static str,
}

/// Asks, and writes the file.
pub fn run(common: &Common, file: Option<&Path>) -> Result<Outcome> {
    let file = place_of(common, file)?;
    let folder = file.parent().map(Path::to_owned).unwrap_or_default();
    let prompt = Prompt::new();
    lines::message(&format!(
        "This writes {}. An empty answer takes what stands in brackets.",
        file.display()
    ));
    let mut answers = ask(&prompt, &folder)?;
    make_folder(&folder)?;
    let mut made = Made::default();
    let mut tries = 1;
    let found = loop {
        made.password(&answers.password)?;
        let (config, _) = read(&file, &answers)?;
        match try_repository(common, &prompt, &config) {
            Ok(found) => break found,
            Err(error) if is_wrong_password(&error) && prompt.is_terminal() && tries < TRIES => {
                tries += 1;
                lines::message(&format!("{}. Once more:", render::with_causes(&error)));
                made.undo();
                answers.password = answers::password(&prompt, &folder)?;
            }
            Err(error) => return Err(error.context("the repository can't be used, so nothing was written")),
        }
    };
    let (_, remarks) = read(&file, &answers)?;
    write_new(&file, &document::text(&answers))?;
    let password_file = made.keep();
    tell(common, &file, password_file.as_deref(), found);
    // As with `config check`, a warning is no failure: what it is about may be what was answered.
    if !remarks.is_empty() {
        lines::raw_message(remarks.as_bytes());
    }
    Ok(Outcome::Complete)
}

fn ask(prompt: &Prompt, folder: &Path) -> Result<Answers> {
    let repository = answers::repository(prompt)?;
    let password = answers::password(prompt, folder)?;
    let sources = answers::sources(prompt)?;
    let (schedule, zone) = answers::schedule(prompt)?;
    let keep = answers::keep(prompt)?;
    let told = answers::told(prompt)?;
    Ok(Answers { repository, password, sources, schedule, zone, keep, told })
}

/// Where the file is written: where it was said, else at the usual place of this user.
fn place_of(common: &Common, said: Option<&Path>) -> Result<PathBuf> {
    let said = said.map(Path::to_owned).or_else(|| common.config.clone());
    let file = said.unwrap_or_else(|| {
        let is_root = keepfast_operations::host::SystemHost.effective_user_id() == 0;
        match settings::user_config_file().filter(|_| !is_root) {
            Some(own) => own,
            None => PathBuf::from(USUAL_FILE),
        }
    });
    let file =
        std::path::absolute(&file).with_context(|| format!("{} has no absolute path", file.display()))?;
    if file.symlink_metadata().is_ok() {
        let text = format!(
            "{} is there already, and the wizard never changes a file: edit it, or name another one",
            file.display()
        );
        return Err(Usage(text).into());
    }
    Ok(file)
}

fn make_folder(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(folder);
    made.with_context(|| format!("the directory {} can't be made", folder.display()))
}

/// What was made on the way, and goes again if the wizard doesn't end well.
#[derive(Default)]
struct Made {
    password: Option<PathBuf>,
}

impl Made {
    /// Makes the password's file, if there is to be a new one.
    fn password(&mut self, secret: &Secret) -> Result<()> {
        let Secret::Generated(path) = secret else { return Ok(()) };
        let failed = || format!("the password's file {} can't be made", path.display());
        // 256 random bits, so that no one guesses it, however many tries there are.
        let password = Zeroizing::new(format!("{}{}\n", state::random_name()?, state::random_name()?));
        make_folder(path.parent().unwrap_or(Path::new("/")))?;
        let mut file =
            File::options().create_new(true).write(true).mode(0o600).open(path).with_context(failed)?;
        self.password = Some(path.clone());
        file.write_all(password.as_bytes()).and_then(|()| file.sync_all()).with_context(failed)
    }

    fn undo(&mut self) {
        if let Some(path) = self.password.take() {
            // It opens nothing: no repository was made with it.
            let _ = fs::remove_file(path);
        }
    }

    /// Leaves it there.
    fn keep(&mut self) -> Option<PathBuf> {
        self.password.take()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.undo();
    }
}

/// The files of this machine, and the one that isn't written yet.
struct WithNew<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Files for WithNew<'_> {
    fn read(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        if path == self.path { Ok(self.text.as_bytes().to_vec()) } else { ThisMachine.read(path, bytes_max) }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        ThisMachine.list(folder)
    }
}

/// The configuration that would be written, and what `config check` would say of it.
fn read(file: &Path, answers: &Answers) -> Result<(Config, String)> {
    let text = document::text(answers);
    let files = WithNew { path: file, text: &text };
    let Loaded { config, report } = load(file, &files, &ThisMachine, &Limits::default());
    let said = report.render(keepfast_config::diagnostic::render::Style::Plain);
    match config {
        Some(config) => Ok((config, said)),
        None => {
            lines::raw_message(said.as_bytes());
            Err(anyhow!("these answers make no valid configuration, so nothing was written"))
        }
    }
}

/// Opens the repository, or makes it if a person wants that.
fn try_repository(common: &Common, prompt: &Prompt, config: &Config) -> Result<&'static str> {
    let definition = config.repositories.get("main").ok_or_else(|| anyhow!("no repository is defined"))?;
    let target = place::target(definition, &settings::cache_dir(common))?;
    let where_it_is = target.place.to_string();
    let connect = || {
        let access = Access { children: secrets::children(), ..Access::default() };
        SharedRepository::connect(target.clone(), access)
    };
    // From here on, a signal ends what is being done, and not the program at once.
    lines::message(&format!("Looking for a repository in {where_it_is} …"));
    let console = Console::new(common)?;
    match connect()?.repository(console.run(), Mode::Usual) {
        Ok(_) => return Ok("opened"),
        Err(OperationsError::Engine(EngineError::NoRepository { .. })) => {}
        Err(error) => return Err(error.into()),
    }
    if !prompt.yes(&format!("There is no repository in {where_it_is}. Make one?"), true)? {
        return Ok("none");
    }
    init(&Init::default(), &connect()?, console.run())?;
    Ok("made")
}

fn is_wrong_password(error: &anyhow::Error) -> bool {
    matches!(crate::engine_error(error), Some(EngineError::WrongPassword { .. }))
}

/// Writes the file as a whole, and never over one that has come there meanwhile.
fn write_new(file: &Path, text: &str) -> Result<()> {
    let failed = || format!("{} can't be written", file.display());
    let mut new = NamedTempFile::new_in(file.parent().unwrap_or(Path::new("/"))).with_context(failed)?;
    new.write_all(text.as_bytes()).with_context(failed)?;
    new.as_file().sync_all().with_context(failed)?;
    new.persist_noclobber(file).with_context(failed)?;
    Ok(())
}

fn tell(common: &Common, file: &Path, password: Option<&Path>, found: &'static str) {
    let shown = |path: &Path| path.display().to_string();
    if common.json {
        return render::document(&WizardDocument {
            file: shown(file),
            password_file: password.map(shown),
            repository: found,
        });
    }
    render::line(&format!("wrote     {}", shown(file)));
    if let Some(password) = password {
        render::line(&format!(
            "wrote     {}: keep a copy elsewhere; without this password nothing can be restored",
            shown(password)
        ));
    }
    // The usual file needs no option.
    let option = match settings::config_file(None) == *file {
        true => String::new(),
        false => format!(" --config {}", shown(file)),
    };
    if found == "none" {
        render::line(&format!(
            "next      keepfast{option} config check --resolve, once there is a repository"
        ));
    }
    render::line(&format!("next      keepfast{option} run files"));
    render::line(&format!("next      keepfast{option} service install --start"));
}

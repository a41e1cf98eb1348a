//! One libFuzzer program for all decoders. `KEEPFAST_FUZZ_TARGET` is the name of the target that it runs, or
//! `list` to list all targets.
//!
//! It exists only in builds with `--cfg fuzzing`, which `scripts/fuzz.sh` makes.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
mod fuzzing {
    use std::sync::OnceLock;

    use keepfast_fuzz::Target;

    fn chosen() -> Target {
        static CHOSEN: OnceLock<Target> = OnceLock::new();
        *CHOSEN.get_or_init(|| {
            let name =
                std::env::var("KEEPFAST_FUZZ_TARGET").expect("KEEPFAST_FUZZ_TARGET is a target's name");
            keepfast_fuzz::target(&name).expect("KEEPFAST_FUZZ_TARGET is a target's name")
        })
    }

    /// Lists the targets if that is wanted. Otherwise it writes a valid input to begin with, because random
    /// bytes rarely get far into a structure.
    #[allow(clippy::print_stdout)]
    fn begin() {
        if std::env::var_os("KEEPFAST_FUZZ_TARGET").is_some_and(|name| name == "list") {
            for target in keepfast_fuzz::targets() {
                println!("{}", target.name);
            }
            std::process::exit(0);
        }
        if let Some(folder) = std::env::var_os("KEEPFAST_FUZZ_CORPUS") {
            let seed = std::path::Path::new(&folder).join("valid");
            std::fs::write(seed, (chosen().valid)()).expect("the corpus folder can be written");
        }
    }

    libfuzzer_sys::fuzz_target!(init: begin(), |data: &[u8]| {
        let _ = (chosen().decode)(data);
    });
}

#[cfg(not(fuzzing))]
#[allow(clippy::print_stderr)]
fn main() -> std::process::ExitCode {
    eprintln!("built without libFuzzer: run scripts/fuzz.sh");
    std::process::ExitCode::FAILURE
}

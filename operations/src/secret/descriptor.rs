//! Descriptors that secrets are behind: no program that is started later inherits one.

use std::fs;
use std::io;
use std::os::fd::RawFd;

/// The last of the standard ones. A program that is started inherits those or gets others in their place.
const STANDARD_MAX: RawFd = 2;

/// Marks a descriptor so that it is closed in every program that is started from now on, and leaves all others as they
/// are.
pub fn keep_from_children(descriptor: RawFd) -> io::Result<()> {
    if descriptor <= STANDARD_MAX {
        return Ok(());
    }
    let mut others = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        others.extend(number.filter(|number: &RawFd| *number > descriptor));
    }
    others.sort_unstable();
    // It marks all from the first on but for these. What another thread opens meanwhile is marked already: the standard
    // library opens everything so.
    close_fds::set_fds_cloexec_threadsafe(descriptor, &others);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsRawFd;

    use keepfast_backend::Cancel;

    use super::keep_from_children;
    use crate::child::{ChildInput, Children, CommandLine};

    /// What a program sees at a descriptor.
    fn seen(descriptor: i32) -> String {
        let script = CommandLine::Shell(format!("cat /proc/self/fd/{descriptor} 2>/dev/null || echo none"));
        let mut started =
            Children::default().start(&script, ChildInput::Empty, &Cancel::new()).expect("a shell");
        let mut printed = String::new();
        started.output.read_to_string(&mut printed).expect("text");
        assert!(started.running.wait().expect("an end").is_some());
        printed.trim().to_owned()
    }

    #[test]
    fn a_program_inherits_no_descriptor_that_is_kept_from_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, "horse").expect("a file");
        let file = File::open(&path).expect("the file");
        // Duplicates are inherited, as what a shell opens is.
        let copies: Vec<_> = (0..3).map(|_| rustix::io::dup(&file).expect("a descriptor")).collect();
        let [before, secret, behind] = [0, 1, 2].map(|at: usize| copies[at].as_raw_fd());
        assert_eq!(seen(secret), "horse");
        keep_from_children(secret).expect("a list of descriptors");
        assert_eq!([before, secret, behind].map(seen), ["horse", "none", "horse"]);
        assert!(File::open(format!("/proc/self/fd/{secret}")).is_ok(), "it is still open here");
        keep_from_children(0).expect("nothing is done");
    }
}

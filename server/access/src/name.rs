//! Names of users: few letters, so that no two names look alike.

/// Bytes of a name, at most.
const NAME_BYTES_MAX: usize = 64;

/// Why a text is no name of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// It has no letter, or too many.
    #[error("a user's name has 1 to {NAME_BYTES_MAX} characters")]
    Length,
    /// It has other characters.
    #[error("a user's name has letters a to z, digits, and the signs . _ - + @ between them")]
    Characters,
}

/// The name that a person means: capital letters are small ones.
pub fn user_name(text: &str) -> Result<String, NameFault> {
    let name = text.trim().to_ascii_lowercase();
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(NameFault::Length);
    }
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_allowed = |byte: u8| is_plain(byte) || b"._-+@".contains(&byte);
    let edges = [name.as_bytes()[0], name.as_bytes()[name.len() - 1]];
    if name.bytes().all(is_allowed) && edges.into_iter().all(is_plain) {
        Ok(name)
    } else {
        Err(NameFault::Characters)
    }
}

#[cfg(test)]
mod tests {
    use super::{NameFault, user_name};

    #[test]
    fn names_have_few_letters_and_capitals_are_small_ones() {
        assert_eq!(user_name(" Ann.Smith+x@Example.org ").as_deref(), Ok("ann.smith+x@example.org"));
        assert_eq!(user_name(""), Err(NameFault::Length));
        assert_eq!(user_name(&"x".repeat(65)), Err(NameFault::Length));
        // The second one is Cyrillic.
        for name in ["-ann", "аnn", "a b", "a/b", "a\nb", "<b>", "=1+1", "ann."] {
            assert_eq!(user_name(name), Err(NameFault::Characters), "{name:?}");
        }
    }
}

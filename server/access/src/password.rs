//! Passwords: what may be one, its hash, and the comparison that costs the same whether there is a user or not.
//!
//! Hashing takes 19 MiB and some tens of milliseconds: the caller bounds how many are computed at once.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use phc::{Ident, Output, ParamsString, PasswordHash, Salt};

/// Letters of a password, at least. Length is what counts; which letters there are is not asked.
pub const LETTERS_MIN: usize = 12;
/// Bytes of a password, at most: what is longer is refused before it costs anything.
pub const BYTES_MAX: usize = 1024;
/// Random bytes of a salt.
pub const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// The parameters that OWASP recommends for Argon2id: memory in KiB, passes, lanes.
const USUAL: Cost = Cost { memory_kib: 19_456, passes: 2, lanes: 1 };
/// What a stored hash may cost at most: one that was tampered with must not stop the server.
const COST_MAX: Cost = Cost { memory_kib: 262_144, passes: 10, lanes: 4 };
/// From this size on, glibc takes memory from the system and gives it back at once, whatever was taken before
/// (`DEFAULT_MMAP_THRESHOLD_MAX`). Anything smaller it keeps, for each thread that has ever compared a password. What
/// isn't written to costs nothing.
const GIVEN_BACK_BYTES: usize = 33 << 20;

const ARGON2ID: &str = "argon2id";

/// Why a text can't be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// It has too few letters.
    #[error("a password has at least {LETTERS_MIN} characters; any characters will do")]
    TooShort,
    /// It is too long.
    #[error("a password has at most {BYTES_MAX} bytes")]
    TooLong,
    /// It is the user's name, or has it in it with little else.
    #[error("a password must be more than the user's name")]
    IsName,
    /// It is one letter again and again.
    #[error("a password must be more than one character again and again")]
    Repeated,
}

/// Why a hash can't be computed or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashFault {
    /// What is stored isn't the hash of a password, or one that costs too much.
    #[error("the stored hash of a password can't be used")]
    Stored,
    /// The computation failed, for want of memory.
    #[error("the hash of a password can't be computed")]
    Computing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// What came of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// Whether it is the password.
    pub is_right: bool,
    /// Whether its hash should be computed again, because it was made at another cost than is usual now.
    pub is_outdated: bool,
}

/// Whether a text can be the password of a user.
pub fn check(password: &str, user: &str) -> Result<(), PasswordFault> {
    if password.len() > BYTES_MAX {
        return Err(PasswordFault::TooLong);
    }
    if password.chars().count() < LETTERS_MIN {
        return Err(PasswordFault::TooShort);
    }
    let first = password.chars().next();
    if password.chars().all(|letter| Some(letter) == first) {
        return Err(PasswordFault::Repeated);
    }
    let rest = password.to_lowercase().replace(&user.to_lowercase(), "");
    if !user.is_empty() && rest.chars().count() < 4 {
        return Err(PasswordFault::IsName);
    }
    Ok(())
}

/// The hash of a password as it is stored, in the PHC format.
pub fn hash(password: &str, salt: [u8; SALT_BYTES]) -> Result<String, HashFault> {
    let output = computed(password, &salt, USUAL, HASH_BYTES)?;
    let failed = |_| HashFault::Computing;
    let mut params = ParamsString::new();
    for (name, number) in [("m", USUAL.memory_kib), ("t", USUAL.passes), ("p", USUAL.lanes)] {
        params.add_decimal(name, number).map_err(failed)?;
    }
    let stored = PasswordHash {
        algorithm: Ident::new(ARGON2ID).map_err(failed)?,
        version: Some(Version::V0x13.into()),
        params,
        salt: Some(Salt::new(&salt).map_err(failed)?),
        hash: Some(output),
    };
    Ok(stored.to_string())
}

/// Compares a password with a stored hash. Without one (there is no such user, or one without a password) it computes as
/// much, and says no: how long it takes tells no one which users there are.
pub fn compare(password: &str, stored: Option<&str>) -> Result<Compared, HashFault> {
    // Such a text is no one's password, whether there is a user or not.
    if password.len() > BYTES_MAX {
        return Ok(Compared { is_right: false, is_outdated: false });
    }
    let Some(stored) = stored else {
        computed(password, &[0; SALT_BYTES], USUAL, HASH_BYTES)?;
        return Ok(Compared { is_right: false, is_outdated: false });
    };
    let (cost, salt, expected) = read(stored).ok_or(HashFault::Stored)?;
    // `Output` compares in constant time.
    let is_right = computed(password, &salt, cost, expected.len())? == expected;
    Ok(Compared { is_right, is_outdated: is_right && (cost != USUAL || expected.len() != HASH_BYTES) })
}

fn computed(password: &str, salt: &[u8], cost: Cost, bytes: usize) -> Result<Output, HashFault> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(bytes));
    let params = params.map_err(|_| HashFault::Stored)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut output = [0; Output::MAX_LENGTH];
    let output = output.get_mut(..bytes).ok_or(HashFault::Stored)?;
    let count = argon2.params().block_count();
    let mut blocks: Vec<Block> = Vec::with_capacity(count.max(GIVEN_BACK_BYTES.div_ceil(Block::SIZE)));
    blocks.resize(count, Block::default());
    argon2
        .hash_password_into_with_memory(password.as_bytes(), salt, output, &mut blocks)
        .map_err(|_| HashFault::Computing)?;
    Output::new(output).map_err(|_| HashFault::Computing)
}

fn read(stored: &str) -> Option<(Cost, Salt, Output)> {
    let hash = PasswordHash::new(stored).ok()?;
    let number = |name: &str| hash.params.get_decimal(name);
    let cost = Cost { memory_kib: number("m")?, passes: number("t")?, lanes: number("p")? };
    let is_bearable = cost.memory_kib <= COST_MAX.memory_kib
        && cost.passes <= COST_MAX.passes
        && cost.lanes <= COST_MAX.lanes;
    let is_known = hash.algorithm.as_str() == ARGON2ID && hash.version == Some(Version::V0x13.into());
    (is_bearable && is_known).then_some(())?;
    Some((cost, hash.salt?, hash.hash?))
}

#[cfg(test)]
mod tests {
    use super::{Compared, HashFault, PasswordFault, check, compare, hash};

    const RIGHT: Compared = Compared { is_right: true, is_outdated: false };
    const WRONG: Compared = Compared { is_right: false, is_outdated: false };

    #[test]
    fn a_password_is_found_right_and_any_other_wrong() {
        let stored = hash("correct horse battery", [7; 16]).expect("it can be computed");
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_eq!(compare("correct horse battery", Some(&stored)), Ok(RIGHT));
        for other in ["correct horse batterz", "", "Correct horse battery"] {
            assert_eq!(compare(other, Some(&stored)), Ok(WRONG), "{other:?}");
        }
        assert_ne!(hash("correct horse battery", [8; 16]).as_ref(), Ok(&stored), "salts differ");
        assert_eq!(compare("correct horse battery", None), Ok(WRONG));
        assert_eq!(compare(&"x".repeat(5000), Some(&stored)), Ok(WRONG));
    }

    /// Made by the reference implementation: `echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -e`.
    #[test]
    fn hashes_of_another_cost_are_right_and_are_replaced() {
        let stored = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let compared = compare("password", Some(stored)).expect("it can be read");
        assert_eq!(compared, Compared { is_right: true, is_outdated: true });
    }

    #[test]
    fn stored_hashes_that_cost_too_much_or_are_none_are_refused() {
        let hash = "c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        for start in [
            "$argon2id$v=19$m=4294967295,t=2,p=1$",
            "$argon2id$v=19$m=65536,t=4000000000,p=1$",
            "$argon2id$v=19$m=65536,t=2,p=255$",
            "$argon2id$v=16$m=65536,t=2,p=1$",
            "$argon2d$v=19$m=65536,t=2,p=1$",
            "$argon2id$v=19$t=2,p=1$",
            "",
        ] {
            assert_eq!(
                compare("password", Some(&format!("{start}{hash}"))),
                Err(HashFault::Stored),
                "{start}"
            );
        }
        assert_eq!(
            compare("password", Some("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ")),
            Err(HashFault::Stored)
        );
    }

    #[test]
    fn length_is_what_counts() {
        assert_eq!(check("correct horse", "ann"), Ok(()));
        assert_eq!(check("äöüäöüäöüäöü", "ann"), Ok(()), "letters, not bytes");
        assert_eq!(check("Sh0rt!", "ann"), Err(PasswordFault::TooShort));
        assert_eq!(check(&"ab".repeat(513), "ann"), Err(PasswordFault::TooLong));
        assert_eq!(check(&"a".repeat(30), "ann"), Err(PasswordFault::Repeated));
        assert_eq!(check("Ann@example.com1", "ann@example.com"), Err(PasswordFault::IsName));
    }
}

//! Compares the metadata of an entry with what its node says.

use keepfast_format::node::{Node, NodeKind, Xattr};
use rustix::fs::{FileType, Stat};

use super::meta;

/// Owner and group that an entry gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Owner {
    /// The owner that an entry has.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        Self { uid: stat.st_uid, gid: stat.st_gid }
    }
}

const SETUID_AND_SETGID: u16 = 0o6000;

/// Attributes that the system gives entries by itself, or keeps elsewhere than with the entry. An entry may
/// have one of them though its node has none.
const OF_THE_SYSTEM: [&[u8]; 6] = [
    b"security.selinux",
    b"security.SMACK64",
    b"security.apparmor",
    b"security.ima",
    b"security.evm",
    b"system.",
];

/// Whether an entry has an attribute that it shouldn't have, because its node has none of this name.
#[must_use]
pub fn is_foreign(name: &[u8], node: &Node) -> bool {
    let is_access_list = name.starts_with(b"system.posix_acl_");
    let is_of_the_system = OF_THE_SYSTEM.iter().any(|prefix| name.starts_with(prefix));
    (is_access_list || !is_of_the_system) && !node.xattrs.iter().any(|(own, _)| own == name)
}

/// The mode that an entry gets. If its owner can't be set, setuid and setgid are left out, because they lend
/// the owner's rights. In a directory they only decide which group new files get.
#[must_use]
pub fn mode_of(node: &Node, owned: bool) -> u16 {
    let lends = !owned && !matches!(node.kind, NodeKind::Directory { .. });
    if lends { node.mode & !SETUID_AND_SETGID } else { node.mode }
}

/// The type of file that a node is.
#[must_use]
pub fn type_of(node: &Node) -> FileType {
    match node.kind {
        NodeKind::File { .. } => FileType::RegularFile,
        NodeKind::Directory { .. } => FileType::Directory,
        NodeKind::Symlink { .. } => FileType::Symlink,
        NodeKind::Fifo => FileType::Fifo,
        NodeKind::Socket => FileType::Socket,
        NodeKind::CharDevice { .. } => FileType::CharacterDevice,
        NodeKind::BlockDevice { .. } => FileType::BlockDevice,
    }
}

/// The device number of a node; 0 if it isn't a device.
#[must_use]
pub fn device_of(node: &Node) -> u64 {
    match node.kind {
        NodeKind::CharDevice { major, minor } | NodeKind::BlockDevice { major, minor } => {
            rustix::fs::makedev(major, minor)
        }
        _ => 0,
    }
}

/// How the metadata of an entry of the right type differs from its node. The owner is compared only with
/// privileges, because without them it can't be set.
#[must_use]
pub fn differences(
    stat: &Stat,
    xattrs: &[Xattr],
    node: &Node,
    owner: Owner,
    privileged: bool,
) -> Vec<String> {
    let mut found = Vec::new();
    let owned = Owner::of(stat) == owner;
    if privileged && !owned {
        found.push(format!(
            "its owner is {}:{} and not {}:{}",
            stat.st_uid, stat.st_gid, owner.uid, owner.gid
        ));
    }
    let (mode, has) = (mode_of(node, owned), meta::permissions(stat));
    // The system decides the mode of a link.
    if mode != has && !matches!(node.kind, NodeKind::Symlink { .. }) {
        found.push(format!("its mode is {has:04o} and not {mode:04o}"));
    }
    if meta::mtime(stat) != node.mtime {
        found.push("its modification time is another".to_owned());
    }
    let is_device = matches!(node.kind, NodeKind::CharDevice { .. } | NodeKind::BlockDevice { .. });
    if is_device && stat.st_rdev != device_of(node) {
        found.push("it stands for another device".to_owned());
    }
    let shown = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    for (name, _) in xattrs.iter().filter(|(name, _)| is_foreign(name, node)) {
        found.push(format!("it has an attribute {}", shown(name)));
    }
    for xattr in node.xattrs.iter().filter(|xattr| !xattrs.contains(xattr)) {
        // Only root sees these, so others can't know whether they are missing.
        if privileged || !xattr.0.starts_with(b"trusted.") {
            found.push(format!("its attribute {} is missing or another", shown(&xattr.0)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{is_foreign, mode_of};
    use keepfast_format::ids::ChunkId;
    use keepfast_format::node::{Node, NodeKind, Timestamp};

    fn node(kind: NodeKind) -> Node {
        let xattrs = vec![(b"user.own".to_vec(), b"1".to_vec())];
        let mtime = Timestamp::default();
        Node { name: b"n".to_vec(), mode: 0o6755, uid: 0, gid: 0, mtime, xattrs, kind, unknown: None }
    }

    #[test]
    fn what_the_system_gives_by_itself_is_not_foreign() {
        let node = node(NodeKind::Fifo);
        for name in ["user.other", "system.posix_acl_access", "security.capability", "trusted.x"] {
            assert!(is_foreign(name.as_bytes(), &node), "{name}");
        }
        for name in ["user.own", "security.selinux", "system.nfs4_acl"] {
            assert!(!is_foreign(name.as_bytes(), &node), "{name}");
        }
    }

    #[test]
    fn an_entry_of_another_owner_lends_no_rights() {
        let directory = node(NodeKind::Directory { tree: ChunkId::new([0; 32]) });
        assert_eq!(
            (mode_of(&node(NodeKind::Fifo), false), mode_of(&node(NodeKind::Fifo), true)),
            (0o755, 0o6755)
        );
        assert_eq!(mode_of(&directory, false), 0o6755);
    }
}

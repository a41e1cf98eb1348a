//! What an entry may have that gives users more rights than they have without it.

use keepfast_format::node::{Node, NodeKind, Xattr};

const SETUID_AND_SETGID: u16 = 0o6000;

/// Attributes that the kernel or privileged programs trust: capabilities, security labels,
/// signatures, whiteouts of overlays.
const TRUSTED: [&[u8]; 2] = [b"security.", b"trusted."];

/// Whether an entry is a device. A user who may open it reaches the device itself, where the permissions of
/// files don't count.
#[must_use]
pub fn is_device(node: &Node) -> bool {
    matches!(node.kind, NodeKind::CharDevice { .. } | NodeKind::BlockDevice { .. })
}

/// Takes setuid, setgid and trusted attributes from an entry. Returns whether it had any.
pub fn take_from(node: &mut Node) -> bool {
    // In a directory, setgid only decides which group new files get: that gives no one more rights.
    let bits = if matches!(node.kind, NodeKind::Directory { .. }) { 0 } else { SETUID_AND_SETGID };
    let is_trusted = |(name, _): &Xattr| TRUSTED.iter().any(|prefix| name.starts_with(prefix));
    let had = node.mode & bits != 0 || node.xattrs.iter().any(is_trusted);
    node.mode &= !bits;
    node.xattrs.retain(|xattr| !is_trusted(xattr));
    had
}

#[cfg(test)]
mod tests {
    use keepfast_format::ids::ChunkId;
    use keepfast_format::node::{Node, NodeKind, Timestamp};

    use super::{is_device, take_from};

    fn node(mode: u16, kind: NodeKind, attributes: &[&str]) -> Node {
        Node {
            name: b"entry".to_vec(),
            mode,
            uid: 0,
            gid: 0,
            mtime: Timestamp::default(),
            xattrs: attributes.iter().map(|name| (name.as_bytes().to_vec(), b"value".to_vec())).collect(),
            kind,
            unknown: None,
        }
    }

    #[test]
    fn bits_and_trusted_attributes_go_and_all_else_stays() {
        let mut found = node(
            0o7755,
            NodeKind::Fifo,
            &["security.capability", "system.posix_acl_access", "trusted.overlay.opaque", "user.security.a"],
        );
        assert!(take_from(&mut found));
        assert_eq!(found, node(0o1755, NodeKind::Fifo, &["system.posix_acl_access", "user.security.a"]));
        assert!(!take_from(&mut found), "nothing is left to take");
    }

    #[test]
    fn a_directory_keeps_its_bits_and_loses_its_labels() {
        let directory = || NodeKind::Directory { tree: ChunkId::new([0; 32]) };
        let mut found = node(0o2775, directory(), &["security.selinux"]);
        assert!(take_from(&mut found));
        assert_eq!(found, node(0o2775, directory(), &[]));
    }

    #[test]
    fn only_devices_are_devices() {
        assert!(is_device(&node(0o600, NodeKind::CharDevice { major: 1, minor: 1 }, &[])));
        assert!(is_device(&node(0o600, NodeKind::BlockDevice { major: 8, minor: 0 }, &[])));
        assert!(!is_device(&node(0o600, NodeKind::Fifo, &[])));
    }
}

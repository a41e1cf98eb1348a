//! Cases of metadata chunks and of the content of blobs.

use keepfast_format::numbers::u64_of;
use keepfast_format::tree::encode_blob;
use keepfast_format::{links, node};

use crate::craft::cbor;
use crate::fixtures::{self, bytes};
use crate::refused::{Cases, put};

pub fn all() -> Vec<Cases> {
    vec![
        tree(),
        names(),
        fields(),
        kinds(),
        contents(),
        bundles(),
        ignorable(),
        state(),
        list(),
        blob(),
        links(),
        extents(),
    ]
}

/// A page of these encoded nodes.
fn page(nodes: &[Vec<u8>]) -> Vec<u8> {
    [head(2, 1), array(nodes)].concat()
}

/// The beginning of a metadata chunk, up to the value of key 1.
fn head(fields: u8, tag: u8) -> Vec<u8> {
    vec![0xa0 + fields, 0, tag, 1]
}

/// A node's fields as pairs of key and encoded value; `fifo` has those that all nodes have.
type NodeFields = Vec<(i64, Vec<u8>)>;

fn encode(fields: &NodeFields) -> Vec<u8> {
    let mut out = cbor(|out| drop(out.map(u64_of(fields.len()))));
    for (key, value) in fields {
        out.extend(cbor(|out| drop(out.i64(*key))));
        out.extend_from_slice(value);
    }
    out
}

fn uint(value: u64) -> Vec<u8> {
    cbor(|out| drop(out.u64(value)))
}

fn byte_string(value: &[u8]) -> Vec<u8> {
    cbor(|out| drop(out.bytes(value)))
}

fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [cbor(|out| drop(out.array(u64_of(items.len())))), items.concat()].concat()
}

fn id(label: &str) -> Vec<u8> {
    byte_string(&bytes::<32>(label))
}

fn common(kind: u64) -> NodeFields {
    let numbers = [kind, 0o644, 1000, 100, 1_700_000_000];
    let mut fields = vec![(0, byte_string(b"name"))];
    fields.extend((1..).zip(numbers.map(uint)));
    fields
}

/// A page with one node of this kind and with these additional fields.
fn one(kind: u64, more: &[(i64, Vec<u8>)]) -> Vec<u8> {
    let mut fields = common(kind);
    fields.extend_from_slice(more);
    page(&[encode(&fields)])
}

/// A page with one fifo in which a common field has another value.
fn fifo_with(key: usize, value: Vec<u8>) -> Vec<u8> {
    let mut fields = common(3);
    fields[key].1 = value;
    page(&[encode(&fields)])
}

fn fifo_named(name: &[u8]) -> Vec<u8> {
    let mut fields = common(3);
    fields[0].1 = byte_string(name);
    encode(&fields)
}

const FIFO: u64 = 3;
const FILE: u64 = 0;

fn tree() -> Cases {
    let mut cases = Cases::of("tree");
    cases.add("empty", "malformed", "there is nothing", Vec::new());
    cases.add_ends(&fixtures::tree().encode());
    cases.add("is_a_list", "malformed", "it is a list chunk", fixtures::list().encode());
    cases.add("third_field", "malformed", "the chunk has three fields", {
        [put(&page(&[]), 0, &[0xa3]), vec![2, 0]].concat()
    });
    cases.add("key_2_for_nodes", "malformed", "key 2 stands where key 1 should", put(&page(&[]), 3, &[2]));
    cases.add("nodes_not_an_array", "malformed", "the nodes are a number", put(&page(&[]), 4, &[0]));
    cases.add("nodes_without_a_count", "malformed", "the nodes' array has no length", {
        [&page(&[])[..4], &[0x9f, 0xff]].concat()
    });
    cases.add(
        "nodes_over_limit",
        "limit",
        "it says 4097 nodes",
        [&page(&[])[..4], &[0x99, 0x10, 1]].concat(),
    );
    cases.add("nodes_not_there", "truncated", "it says 4096 nodes and has none", {
        [&page(&[])[..4], &[0x99, 0x10, 0]].concat()
    });
    cases.add("node_is_a_number", "malformed", "a node isn't a map", page(&[uint(0)]));
    cases.add("node_without_a_count", "canonical", "a node's map has no length", {
        page(&[[&[0xbf], &encode(&common(FIFO))[1..], &[0xff]].concat()])
    });
    let index = fixtures::tree_index().encode();
    cases.add(
        "index_cut_short",
        "truncated",
        "the last page's last byte is missing",
        index[..index.len() - 1].to_vec(),
    );
    let pages = |items: &[Vec<u8>]| [&head(2, 2)[..], &array(items)].concat();
    cases.add("index_names_equal", "malformed", "two pages begin with the same name", {
        pages(&[byte_string(b"a"), id("0"), byte_string(b"a"), id("1")])
    });
    cases.add("index_without_pages", "malformed", "an index has no pages", pages(&[]));
    cases.add("index_without_an_id", "canonical", "the last page has no id", {
        pages(&[byte_string(b"a"), id("0"), byte_string(b"b")])
    });
    cases.add("index_short_id", "malformed", "a page's id has 31 bytes", {
        pages(&[byte_string(b"a"), byte_string(&[0; 31])])
    });
    cases
}

fn names() -> Cases {
    let mut cases = Cases::of("tree");
    let named = |name: &[u8]| page(&[fifo_named(name)]);
    cases.add("name_empty", "malformed", "a name is empty", named(b""));
    cases.add("name_dot", "malformed", "a name is the directory itself", named(b"."));
    cases.add("name_dot_dot", "malformed", "a name is the directory above", named(b".."));
    cases.add("name_slash", "malformed", "a name is a path", named(b"a/b"));
    cases.add("name_nul", "malformed", "a name has a zero byte", named(b"a\0"));
    cases.add("name_over_limit", "limit", "a name has 4097 bytes", named(&[b'a'; 4097]));
    cases.add("name_is_text", "malformed", "a name is text", fifo_with(0, cbor(|out| drop(out.str("a")))));
    cases.add(
        "names_equal",
        "malformed",
        "two nodes have the same name",
        page(&[fifo_named(b"a"), fifo_named(b"a")]),
    );
    cases.add("names_descend", "malformed", "names descend", page(&[fifo_named(b"b"), fifo_named(b"a")]));
    cases
}

fn fields() -> Cases {
    let mut cases = Cases::of("tree");
    cases.add(
        "mode_of_a_directory",
        "malformed",
        "the mode has a bit for the kind",
        fifo_with(2, uint(0o40755)),
    );
    cases.add("mode_over_16_bits", "malformed", "the mode is 65536", fifo_with(2, uint(1 << 16)));
    cases.add("uid_over_32_bits", "malformed", "the user is 2^32", fifo_with(3, uint(1 << 32)));
    cases.add("gid_negative", "malformed", "the group is -1", fifo_with(4, vec![0x20]));
    cases.add(
        "nanoseconds",
        "malformed",
        "the time has 10^9 nanoseconds",
        one(FIFO, &[(6, uint(1_000_000_000))]),
    );
    cases.add("nanoseconds_zero", "canonical", "0 nanoseconds are written", one(FIFO, &[(6, uint(0))]));
    cases.add(
        "uid_two_bytes",
        "canonical",
        "the user takes two bytes where one would do",
        fifo_with(3, vec![0x18, 5]),
    );
    cases.add("critical_field", "unsupported", "key 16 is critical and unknown", one(FIFO, &[(16, uint(0))]));
    cases.add(
        "critical_field_300",
        "unsupported",
        "key 300 is critical and unknown",
        one(FIFO, &[(300, uint(0))]),
    );
    let mut fields = common(FIFO);
    fields.swap(3, 4);
    cases.add("keys_out_of_order", "canonical", "key 4 stands before key 3", page(&[encode(&fields)]));
    let mut fields = common(FIFO);
    fields.insert(4, fields[4].clone());
    cases.add("key_twice", "canonical", "key 4 stands there twice", page(&[encode(&fields)]));
    for (key, name) in
        ["no_name", "no_kind", "no_mode", "no_uid", "no_gid", "no_time"].into_iter().enumerate()
    {
        let mut fields = common(FIFO);
        fields.remove(key);
        cases.add(name, "malformed", "a field that every node has is missing", page(&[encode(&fields)]));
    }
    let xattrs = |items: &[&[u8]]| {
        one(FIFO, &[(14, array(&items.iter().map(|item| byte_string(item)).collect::<Vec<_>>()))])
    };
    cases.add("xattrs_empty", "canonical", "no attribute is written", xattrs(&[]));
    cases.add("xattrs_odd", "malformed", "an attribute has no value", xattrs(&[b"a"]));
    cases.add("xattrs_descend", "malformed", "attributes descend", xattrs(&[b"b", b"", b"a", b""]));
    cases.add(
        "xattrs_twice",
        "malformed",
        "an attribute stands there twice",
        xattrs(&[b"a", b"", b"a", b""]),
    );
    cases.add("xattr_without_name", "malformed", "an attribute's name is empty", xattrs(&[b"", b""]));
    cases.add("xattr_nul", "malformed", "an attribute's name has a zero byte", xattrs(&[b"a\0", b""]));
    cases
}

fn kinds() -> Cases {
    let mut cases = Cases::of("tree");
    cases.add("kind_7", "malformed", "the kind is none of 0 to 6", one(7, &[]));
    cases.add("directory_without_tree", "malformed", "a directory has no tree", one(1, &[]));
    cases.add("link_without_target", "malformed", "a symbolic link has no target", one(2, &[]));
    cases.add("link_to_nothing", "malformed", "a symbolic link's target is empty", {
        one(2, &[(12, byte_string(b""))])
    });
    cases.add("link_nul", "malformed", "a symbolic link's target has a zero byte", {
        one(2, &[(12, byte_string(b"a\0b"))])
    });
    cases.add("device_without_numbers", "malformed", "a device has no numbers", one(5, &[]));
    cases.add(
        "device_of_one_number",
        "malformed",
        "a device has one number",
        one(6, &[(13, array(&[uint(1)]))]),
    );
    cases.add("device_of_three_numbers", "limit", "a device has three numbers", {
        one(6, &[(13, array(&[uint(1), uint(2), uint(3)]))])
    });
    cases.add("fifo_with_size", "malformed", "a fifo has a size", one(FIFO, &[(7, uint(1))]));
    cases.add("file_with_target", "malformed", "a file has a target", one(FILE, &[(12, byte_string(b"x"))]));
    cases.add("link_with_tree", "malformed", "a symbolic link has a tree", {
        one(2, &[(11, id("tree")), (12, byte_string(b"x"))])
    });
    cases.add("short_tree_id", "malformed", "a directory's tree has an id of 31 bytes", {
        one(1, &[(11, byte_string(&[0; 31]))])
    });
    cases.add("size_zero", "canonical", "a size of 0 is written", one(FILE, &[(7, uint(0))]));
    cases
}

fn contents() -> Cases {
    let mut cases = Cases::of("tree");
    // An ignorable field follows, so that the content isn't the end of the chunk.
    let content = |items: &[Vec<u8>]| one(FILE, &[(7, uint(9)), (8, array(items)), (-1, uint(0))]);
    cases.add("content_empty", "canonical", "an empty content is written", content(&[uint(0)]));
    cases.add("content_without_level", "malformed", "the content is an empty array", content(&[]));
    cases.add(
        "content_without_length",
        "malformed",
        "a reference has no length",
        content(&[uint(0), id("a")]),
    );
    cases.add("content_of_no_bytes", "malformed", "a reference is to no bytes", {
        content(&[uint(0), id("a"), uint(9), id("b"), uint(0)])
    });
    cases.add("content_33_references", "limit", "33 references stand inline", {
        let refs = (0..33).flat_map(|_| [id("a"), uint(1)]);
        content(&std::iter::once(uint(0)).chain(refs).collect::<Vec<_>>())
    });
    cases.add("content_level_13", "limit", "a list is of level 13", content(&[uint(13), id("a")]));
    cases.add(
        "content_list_with_length",
        "malformed",
        "a list has a length",
        content(&[uint(1), id("a"), uint(9)]),
    );
    cases.add("content_length_over_32_bits", "malformed", "a chunk has 2^32 bytes", {
        content(&[uint(0), id("a"), uint(1 << 32)])
    });
    let extents =
        |items: &[u64]| one(FILE, &[(9, array(&items.iter().copied().map(uint).collect::<Vec<_>>()))]);
    cases.add("extents_odd", "malformed", "an extent has no length", extents(&[0]));
    cases.add(
        "extents_overlap",
        "malformed",
        "an extent begins inside of the one before",
        extents(&[0, 5, 4, 1]),
    );
    cases.add("extent_empty", "malformed", "an extent has no bytes", extents(&[0, 0]));
    cases.add("extents_beyond_64_bits", "malformed", "an extent ends over 2^64", extents(&[u64::MAX, 1]));
    cases.add("extents_33", "limit", "33 extents stand inline", extents(&[0; 66]));
    cases.add("extents_twice", "canonical", "extents stand inline and as a blob", {
        one(FILE, &[(9, array(&[])), (10, array(&[uint(1), id("a")]))])
    });
    cases
}

fn bundles() -> Cases {
    let mut cases = Cases::of("tree");
    // An ignorable field follows, so that the offset isn't the end of the chunk.
    let bundled = |size: u64, content: &[Vec<u8>], from: u64| {
        one(FILE, &[(7, uint(size)), (8, array(content)), (15, uint(from)), (-1, uint(0))])
    };
    let chunk = [uint(0), id("bundle"), uint(9)];
    cases.add("bundle_ends_in_the_file", "malformed", "the file ends beyond its chunk", {
        bundled(5, &chunk, 5)
    });
    cases.add("bundle_before_the_file", "malformed", "the file begins where its chunk ends", {
        bundled(1, &chunk, 9)
    });
    cases.add("bundle_of_one", "malformed", "the file is all of its chunk", bundled(9, &chunk, 0));
    cases.add("bundle_shorter_than_the_file", "malformed", "the chunk is shorter than the file", {
        bundled(10, &chunk, 0)
    });
    cases.add("bundle_over_32_bits", "malformed", "the file begins at 2^32", bundled(1, &chunk, 1 << 32));
    cases.add("bundle_of_two_chunks", "malformed", "a bundle is two chunks", {
        bundled(5, &[uint(0), id("a"), uint(9), id("b"), uint(9)], 0)
    });
    cases.add("bundle_as_a_list", "malformed", "a bundle is a list", {
        bundled(5, &[uint(1), id("bundle")], 0)
    });
    cases.add("bundle_of_nothing", "malformed", "an empty file is in a bundle", {
        one(FILE, &[(8, array(&chunk)), (15, uint(0))])
    });
    cases.add("bundle_without_content", "malformed", "a file in a bundle has no content", {
        one(FILE, &[(7, uint(1)), (15, uint(0))])
    });
    cases.add("bundle_of_a_fifo", "malformed", "a fifo is in a bundle", one(FIFO, &[(15, uint(0))]));
    cases.add("bundle_with_holes", "canonical", "a file has extents and is in a bundle", {
        one(FILE, &[(7, uint(5)), (8, array(&chunk)), (9, array(&[])), (15, uint(0))])
    });
    cases
}

fn ignorable() -> Cases {
    let mut cases = Cases::of("tree");
    cases.add("ignorable_nested", "malformed", "key -1 is an array", one(FIFO, &[(-1, array(&[]))]));
    cases.add("ignorable_out_of_order", "canonical", "key -2 stands before key -1", {
        one(FIFO, &[(-2, uint(0)), (-1, uint(0))])
    });
    cases.add("ignorable_twice", "canonical", "key -1 stands there twice", {
        one(FIFO, &[(-1, uint(0)), (-1, uint(0))])
    });
    cases.add("ignorable_long_integer", "canonical", "key -1 takes two bytes where one would do", {
        one(FIFO, &[(-1, vec![0x18, 1])])
    });
    cases.add("ignorable_long_text", "canonical", "key -1's length takes two bytes", {
        one(FIFO, &[(-1, vec![0x78, 1, b'a'])])
    });
    let mut fields = common(FIFO);
    fields.insert(0, (-1, uint(0)));
    cases.add("ignorable_first", "canonical", "key -1 stands before key 0", page(&[encode(&fields)]));
    cases
}

fn state() -> Cases {
    let mut cases = Cases::of("state");
    let page = |items: &[Vec<u8>]| [&head(2, 3)[..], &array(items)].concat();
    let entry = |numbers: &[u64]| array(&numbers.iter().copied().map(uint).collect::<Vec<_>>());
    cases.add_ends(&fixtures::state().encode());
    cases.add("is_a_tree", "malformed", "it is a tree page", fixtures::tree().encode());
    cases.add("entry_of_three", "malformed", "an entry has no device", page(&[entry(&[0, 0, 1])]));
    cases.add("entry_of_six", "limit", "an entry has six fields", page(&[entry(&[0, 0, 1, 2, 3, 4])]));
    cases.add(
        "nanoseconds",
        "malformed",
        "a time has 10^9 nanoseconds",
        page(&[entry(&[0, 1_000_000_000, 1, 2])]),
    );
    cases.add(
        "children_are_a_number",
        "malformed",
        "a directory's state has no id",
        page(&[entry(&[0, 0, 1, 2, 3])]),
    );
    cases.add("inode_two_bytes", "canonical", "an inode takes two bytes where one would do", {
        page(&[array(&[uint(0), uint(0), vec![0x18, 1], uint(2)])])
    });
    cases.add(
        "entries_over_limit",
        "limit",
        "it says 4097 entries",
        [&page(&[])[..4], &[0x99, 0x10, 1]].concat(),
    );
    cases.add("index_short_id", "malformed", "a page's id has 31 bytes", {
        [&head(2, 4)[..], &array(&[byte_string(&[0; 31])])].concat()
    });
    let index = fixtures::state_index().encode();
    cases.add(
        "index_trailing_byte",
        "trailing",
        "a byte follows the index",
        [index.as_slice(), &[0]].concat(),
    );
    cases
}

fn list() -> Cases {
    let mut cases = Cases::of("list");
    let valid = fixtures::list().encode();
    let list =
        |level: u64, items: &[Vec<u8>]| [&head(3, 5)[..], &uint(level), &uint(2), &array(items)].concat();
    cases.add_ends(&valid);
    cases.add("is_a_blob", "malformed", "it is a blob", encode_blob(b""));
    cases.add("level_0", "limit", "its level is 0", list(0, &[id("a"), uint(1)]));
    cases.add("level_13", "limit", "its level is 13", list(13, &[id("a"), uint(1)]));
    cases.add("no_items", "malformed", "key 3 stands where key 2 should", {
        [&head(3, 5)[..], &uint(1), &uint(3), &array(&[])].concat()
    });
    cases.add("items_257", "limit", "it has 257 items", {
        list(1, &(0..257).flat_map(|_| [id("a"), uint(1)]).collect::<Vec<_>>())
    });
    cases.add("item_without_bytes", "canonical", "its last item has no length", list(1, &[id("a")]));
    cases.add("empty", "malformed", "it has no items", list(1, &[]));
    cases.add("item_of_no_bytes", "malformed", "an item stands for no bytes", {
        list(2, &[id("a"), uint(1), id("b"), uint(0)])
    });
    cases.add("chunk_over_16_mib", "limit", "a chunk has 2^24 + 1 bytes", {
        list(1, &[id("a"), uint((1 << 24) + 1)])
    });
    cases.add("sum_over_64_bits", "malformed", "its items' sum is 2^64", {
        list(2, &[id("a"), uint(u64::MAX), id("b"), uint(1)])
    });
    cases.add("short_id", "malformed", "an id has 31 bytes", list(1, &[byte_string(&[0; 31]), uint(1)]));
    cases.add("bytes_two_bytes", "canonical", "a length takes two bytes where one would do", {
        list(1, &[id("a"), vec![0x18, 1]])
    });
    cases
}

fn blob() -> Cases {
    let mut cases = Cases::of("blob");
    cases.add_ends(&encode_blob(b"piece"));
    cases.add("is_a_list", "malformed", "it is a list chunk", fixtures::list().encode());
    let head = head(2, 6);
    cases.add("text", "malformed", "its piece is text", [&head[..], &[0x61, b'a']].concat());
    cases.add(
        "no_length",
        "malformed",
        "its piece has no length",
        [&head[..], &[0x5f, 0x41, 1, 0xff]].concat(),
    );
    cases.add("long_length", "canonical", "its length takes two bytes", [&head[..], &[0x58, 1, 7]].concat());
    cases
}

fn links() -> Cases {
    let mut cases = Cases::of("links");
    let valid = links::encode(&fixtures::links());
    cases.add("cut_short", "truncated", "the last byte is missing", valid[..valid.len() - 1].to_vec());
    cases.add(
        "cut_in_a_number",
        "truncated",
        "the last number has three bytes",
        [valid.as_slice(), &[2, 0, 0]].concat(),
    );
    cases.add("group_of_none", "malformed", "a group has no paths", links::encode(&[Vec::new()]));
    cases.add("group_of_one", "malformed", "a group has one path", links::encode(&[vec![b"a".to_vec()]]));
    cases.add("group_over_limit", "limit", "a group says 2^24 + 1 paths", vec![1, 0, 0, 1]);
    cases.add("path_over_limit", "limit", "a path says 2^20 + 1 bytes", vec![2, 0, 0, 0, 1, 0, 16, 0]);
    cases
}

fn extents() -> Cases {
    let mut cases = Cases::of("extents");
    let bytes = node::extents_to_bytes;
    let valid = bytes(&[(1, 2), (3, 4)]);
    cases.add("cut_short", "truncated", "the last byte is missing", valid[..31].to_vec());
    cases.add("overlap", "malformed", "an extent begins inside of the one before", bytes(&[(0, 5), (4, 1)]));
    cases.add("empty", "malformed", "an extent has no bytes", bytes(&[(0, 1), (9, 0)]));
    cases.add("descend", "malformed", "an extent begins before the one before", bytes(&[(9, 1), (0, 1)]));
    cases.add("beyond_64_bits", "malformed", "an extent ends over 2^64", bytes(&[(1, u64::MAX)]));
    cases
}

//! The files of the dashboard. The table is written by `build.rs`.

/// A file.
pub(crate) struct Asset {
    /// Its path on the server: `/assets/index-B0x4.js`.
    pub(crate) path: &'static str,
    /// Its content type.
    pub(crate) content_type: &'static str,
    /// What changes with its bytes.
    pub(crate) tag: &'static str,
    /// Whether another content would have another path.
    pub(crate) is_immutable: bool,
    pub(crate) plain: &'static [u8],
    pub(crate) brotli: Option<&'static [u8]>,
    pub(crate) gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

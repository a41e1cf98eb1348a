//! Lists what `npm run build` has put into `dist`, so that the program has it inside. Without it, as where there is no
//! Node, a page that says so takes its place: every `cargo build` works.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Endings of the compressed forms of a file, which stand beside it.
const COMPRESSED: [&str; 2] = ["br", "gz"];

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?);
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);
    let dist = folder.join("dist");
    // The folder is always there, because it has a file of its own: so cargo sees when it is filled.
    println!("cargo:rerun-if-changed=dist");
    println!("cargo:rerun-if-changed=src/stub.html");
    let mut files = BTreeMap::new();
    collect(&dist, "", &mut files)?;
    let is_built = files.contains_key("/index.html");
    if !is_built {
        files = BTreeMap::from([("/index.html".to_owned(), folder.join("src/stub.html"))]);
    }
    let mut table = format!("/// Whether the dashboard is inside.\npub const IS_BUILT: bool = {is_built};\n");
    table.push_str("pub(crate) static ASSETS: &[Asset] = &[\n");
    for (path, file) in &files {
        table.push_str(&asset(path, file)?);
    }
    table.push_str("];\n");
    fs::write(out.join("assets.rs"), table)
}

/// All files that are served, by their paths on the server.
fn collect(folder: &Path, above: &str, found: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // What begins with a dot is for tools.
        if name.starts_with('.') {
            continue;
        }
        let path = format!("{above}/{name}");
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &path, found)?;
        } else if !COMPRESSED.iter().any(|ending| name.ends_with(&format!(".{ending}"))) {
            found.insert(path, entry.path());
        }
    }
    Ok(())
}

fn asset(path: &str, file: &Path) -> io::Result<String> {
    let mut hasher = DefaultHasher::new();
    fs::read(file)?.hash(&mut hasher);
    let [br, gz] = COMPRESSED.map(|ending| {
        let compressed = PathBuf::from(format!("{}.{ending}", file.display()));
        match compressed.exists() {
            true => format!("Some(include_bytes!({compressed:?}))"),
            false => "None".to_owned(),
        }
    });
    let kind = content_type(path).ok_or_else(|| {
        io::Error::other(format!("{path} has no content type: name its ending in server/ui/build.rs"))
    })?;
    Ok(format!(
        "    Asset {{ path: {path:?}, content_type: {kind:?}, tag: \"{:016x}\", is_immutable: {}, plain: include_bytes!({file:?}), brotli: {br}, gzip: {gz} }},\n",
        hasher.finish(),
        // Names in this folder have a hash of what is in them.
        path.starts_with("/assets/"),
    ))
}

fn content_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

//! Reading files: their order, what bounds them, and what can't be read.

use crate::desk::Desk;

const PLAIN: &str = "[repository.main]\nurl = '/srv/main'\npassword = { file = '/a' }\n";

fn told(desk: &Desk) -> String {
    desk.told()
}

#[test]
fn a_first_file_that_is_not_there_is_named() {
    assert_eq!(Desk::default().errors(), ["C001"]);
    assert!(told(&Desk::default()).contains("keepfast.toml can't be read"));
}

#[test]
fn a_file_that_is_not_utf8_is_named_with_the_line() {
    let mut desk = Desk::of("include = ['a.toml']").file("a.toml", "");
    desk.files.insert("a.toml".into(), b"x = 1\ny = '\xff'\n".to_vec());
    assert_eq!(desk.errors(), ["C002"]);
    assert!(told(&desk).contains("a.toml isn't UTF-8: see line 2"), "{}", told(&desk));
}

#[test]
fn a_byte_order_mark_is_no_error() {
    assert_eq!(Desk::new("\u{feff}version = 1\n").errors(), [""; 0]);
}

#[test]
fn files_are_bounded_in_size_and_number() {
    let mut desk = Desk::of(&format!("# {}\n", "x".repeat(100)));
    desk.limits.file_bytes = 112;
    assert_eq!(desk.errors(), ["C004"]);
    desk.limits.file_bytes = 113 + 2;
    assert_eq!(desk.errors(), [""; 0]);
    let mut desk = Desk::of("include = ['conf.d/*']");
    for number in 0..300 {
        desk = desk.file(&format!("conf.d/{number}"), "");
    }
    assert_eq!(desk.errors(), ["C005"]);
    desk.limits.files = 301;
    assert_eq!(desk.errors(), [""; 0]);
}

#[test]
fn diagnostics_are_bounded_and_the_others_are_counted() {
    let keys: String = (0..500).map(|number| format!("key_{number} = 1\n")).collect();
    let report = Desk::of(&keys).load().report;
    assert_eq!((report.diagnostics().all().len(), report.diagnostics().left_out()), (200, 300));
    assert!(told(&Desk::of(&keys)).ends_with("200 errors, 0 warnings, and 300 more that aren't shown\n"));
}

/// An error that isn't kept is one all the same.
#[test]
fn a_configuration_whose_errors_are_not_kept_is_refused() {
    let mut desk = Desk::of("x = 1\n");
    desk.limits.diagnostics = 0;
    assert!(desk.load().config.is_none());
}

#[test]
fn a_variable_that_can_not_be_used_is_told() {
    use std::os::unix::ffi::OsStringExt;
    let mut desk = Desk::of("[server]\npublic_url = 'https://${HOST}'\n");
    desk.variables.insert("HOST".to_owned(), std::ffi::OsString::from_vec(vec![0xff]));
    assert_eq!(desk.errors(), ["C018"]);
    let desk = desk.variable("HOST", &"x".repeat(70_000));
    assert_eq!(desk.errors(), ["C018"]);
}

/// Files of a pattern come in the order of names; what stands later in that order adds to what stands before.
#[test]
fn included_files_are_read_in_the_order_of_names_and_once() {
    let route = |name: &str| {
        format!("[[route]]\nto = ['{name}']\n[target.{name}]\nsmtp = {{ host = 'mx', to = ['x'] }}\n")
    };
    let desk = Desk::of(&format!(
        "include = ['conf.d/*.toml', 'conf.d/b.toml', './conf.d/../conf.d/a.toml']\n{}",
        route("z")
    ))
    .file("conf.d/b.toml", &route("b"))
    .file("conf.d/a.toml", &format!("include = ['b.toml', 'deep/*.toml']\n{}", route("a")))
    .file("conf.d/deep/c.toml", &route("c"))
    .file("conf.d/ignored.txt", "x")
    .file("conf.d/.hidden.toml", "x");
    let to: Vec<String> = desk.config().routes.iter().map(|route| route.value.to.0[0].name.clone()).collect();
    assert_eq!(to, ["z", "a", "b", "c"], "from the folder of the file that includes");
}

#[test]
fn folders_can_be_patterns_too() {
    let desk = Desk::of("include = ['customers/*/keepfast.toml']")
        .file("customers/b/keepfast.toml", PLAIN)
        .file(
            "customers/a/keepfast.toml",
            "[project.a]\n[plan.a]\nproject = 'a'\nrepository = 'main'\nsource = [{ files = ['/a'] }]\n",
        )
        .file("customers/other.toml", "x");
    let config = desk.config();
    assert!(config.projects.contains_key("a") && config.repositories.contains_key("main"));
}

#[test]
fn a_first_file_elsewhere_keeps_includes_in_its_folder() {
    let files = Desk::default()
        .file(
            "/etc/keepfast/keepfast.toml",
            "version = 1\ninclude = ['/etc/keepfast/conf.d/*.toml', '/etc/other/*.toml', '../x.toml']",
        )
        .file("/etc/keepfast/conf.d/main.toml", PLAIN)
        .file("/etc/other/other.toml", "x");
    let first = std::path::Path::new("/etc/keepfast/keepfast.toml");
    let loaded = keepfast_config::load::load(first, &files, &files, &files.limits);
    let codes: Vec<String> =
        loaded.report.diagnostics().all().iter().map(|found| found.code.to_string()).collect();
    assert_eq!(codes, ["C007", "C007"]);
    assert_eq!(loaded.report.sources().files().len(), 2);
}

//! Paths to back up that come from lists.

use std::fs;

use crate::program::Desk;

#[test]
fn paths_come_from_lists_as_they_stand_there() {
    let desk = Desk::new();
    let odd = desk.src("an odd\nname #1");
    fs::write(&odd, "odd").unwrap();
    fs::write(desk.src("left out"), "not in a list").unwrap();
    let line = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let lines = desk.path("lines");
    fs::write(&lines, format!("{}\n\n{}", line(&desk.src("a.txt")), line(&desk.src("docs")))).unwrap();
    desk.run(["backup", "--files-from", lines.to_str().unwrap()]).succeeds();
    let listed = desk.run(["ls", "-R", "latest"]).succeeds().out;
    assert!(listed.contains("a.txt") && listed.contains("b.txt") && !listed.contains("left out"), "{listed}");

    let nulls = desk.path("nulls");
    fs::write(&nulls, format!("{}\0{}\0", line(&odd), line(&desk.src("missing")))).unwrap();
    let run = desk.run(["backup", "--null", "--files-from", nulls.to_str().unwrap()]);
    run.fails(3, &["missing: No such file"]);
    assert_eq!(desk.run(["dump", "latest", odd.to_str().unwrap()]).succeeds().out, "odd");

    fs::write(&nulls, "").unwrap();
    desk.run(["backup", "--files-from", nulls.to_str().unwrap()]).fails(2, &["name no path"]);
    desk.run(["backup", "--files-from", desk.path("none").to_str().unwrap()])
        .fails(1, &["none can't be read"]);
}

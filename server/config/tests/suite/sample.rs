//! The sample of a whole configuration.
use crate::desk::Desk;
#[test]
fn probe() {
    let desk = Desk::new(include_str!("../sample/keepfast.toml")).file("conf.d/offsite.toml", include_str!("../sample/conf.d/offsite.toml")).variable("BUCKET", "b");
    println!("{}", desk.told());
    let loaded = desk.load();
    if let Some(config) = loaded.config {
        println!("{}", config.effective.to_toml("", Some(loaded.report.sources())));
    }
    let bad = Desk::of("[server]\npasword = 'x'\nlisten = 5\n[repository.a]\nurl = 's3://x'\npassword = 'hunter2'\n[plan.x]\nretension = { daily = 3 }\nsource = [{ files = ['/a'], stream = 7 }]\nrepository = 'b'\nschedule = { cron = '1 2 3', jitter = '5 m' }\n");
    println!("{}", bad.told());
    println!("{}", Desk::of("[repository.a]\npassword = \"hunter2\nx = 1").told());
}

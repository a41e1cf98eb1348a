//! Processes that don't outlive the test, and the folders and ports that they use.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;

/// Below those that the system gives to outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const PORTS_EACH: u16 = 10;

/// A process that is killed when this value goes, or when the test's own process ends.
pub struct Kept {
    child: Child,
    life: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Kept {
    /// Starts `command`; what it says is added to the file `log`.
    pub fn start(command: Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("the log can be opened");
        let mut kept = Command::new("setpriv");
        kept.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
        kept.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        kept.stdin(Stdio::null()).stderr(log.try_clone().expect("the log can be shared")).stdout(log);
        // The system looks at the thread that started a process, not at its process: so one that stays.
        let (life, ended) = mpsc::channel();
        let (started, child) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            if started.send(kept.spawn()).is_ok() {
                let _ = ended.recv();
            }
        });
        let child = child.recv().expect("the thread says how it went");
        let child =
            child.unwrap_or_else(|error| panic!("{:?} can't be started: {error}", command.get_program()));
        Self { child, life: Some(life), thread: Some(thread) }
    }

    /// Whether it isn't running any more.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        drop(self.life.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A folder and [`PORTS_EACH`] ports that no other test uses meanwhile.
pub struct Folder {
    path: PathBuf,
    first_port: u16,
    /// Locked as long as the ports are taken.
    _lock: File,
}

impl Folder {
    /// Takes ports, and makes the folder.
    pub fn new() -> Self {
        let all = std::env::temp_dir().join("keepfast-servers");
        fs::create_dir_all(&all).expect("a folder for servers can be made");
        sweep(&all);
        let blocks = (PORTS.end - PORTS.start) / PORTS_EACH;
        // Processes begin at different places, so that few of them meet.
        let begin = u16::try_from(std::process::id() % u32::from(blocks)).expect("it is below a u16");
        for n in 0..blocks {
            let first_port = PORTS.start + (begin + n) % blocks * PORTS_EACH;
            if let Some(lock) = take(&all, first_port) {
                let path = all.join(format!("{}-{first_port}", std::process::id()));
                fs::create_dir(&path).expect("the server's folder can be made");
                return Self { path, first_port, _lock: lock };
            }
        }
        panic!("no {PORTS_EACH} ports are free between {} and {}", PORTS.start, PORTS.end);
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first of its ports.
    pub fn first_port(&self) -> u16 {
        self.first_port
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path, self.first_port);
    }
}

fn lock(all: &Path, first_port: u16) -> Option<File> {
    let path = all.join(format!("{first_port}.lock"));
    let lock = File::options().create(true).append(true).open(path).expect("a lock file can be made");
    lock.try_lock().ok().map(|()| lock)
}

fn take(all: &Path, first_port: u16) -> Option<File> {
    let lock = lock(all, first_port)?;
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    (first_port..first_port + PORTS_EACH).all(free).then_some(lock)
}

/// Removes what tests have left that were killed.
fn sweep(all: &Path) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let parts = name.to_str().and_then(|name| name.split_once('-'));
        let Some((process, port)) = parts else { continue };
        // Another process may use the same ports by now; then it is removed another time.
        if let Ok(port) = port.parse()
            && !Path::new("/proc").join(process).exists()
            && let Some(_lock) = lock(all, port)
        {
            remove(&entry.path(), port);
        }
    }
}

fn remove(folder: &Path, first_port: u16) {
    // SeaweedFS makes these for its ports, outside of its data folder.
    let sockets = |port: u16| {
        let names = move |part| {
            [format!("/tmp/seaweedfs-{part}-grpc-{port}.sock"), format!("/tmp/seaweedfs-{part}-{port}.sock")]
        };
        ["master", "volume", "filer", "s3"].into_iter().flat_map(names)
    };
    for socket in (first_port..first_port + PORTS_EACH).flat_map(sockets) {
        let _ = fs::remove_file(socket);
    }
    // What can't be removed is swept later.
    let _ = fs::remove_dir_all(folder);
}

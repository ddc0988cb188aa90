//! Real processes over real sockets: found, killed with SIGKILL, started again, gone on purpose.
//! Row S5.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Nothing here takes this long on any machine; it only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    addr: String,
}

impl Process {
    fn start(node_id: &str, seeds: &[&str]) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chitchat-test-node"))
            .arg(node_id)
            .args(seeds)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test binary starts");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut process = Process { child, stdin, lines, addr: String::new() };
        let first = process.wait_for("its address", |line| line.starts_with("addr "));
        process.addr = first["addr ".len()..].to_owned();
        process
    }

    #[track_caller]
    fn wait_for(&mut self, what: &str, matches: impl Fn(&str) -> bool) -> String {
        let begin = Instant::now();
        let mut seen = Vec::new();
        while begin.elapsed() < PATIENCE {
            if let Ok(line) = self.lines.recv_timeout(Duration::from_millis(100)) {
                if matches(&line) {
                    return line;
                }
                seen.push(line);
            }
        }
        panic!("{what} did not come; instead: {seen:?}");
    }

    #[track_caller]
    fn wait_for_live(&mut self, live: &str) {
        self.wait_for(live, |line| line == format!("live {live}"));
    }

    fn kill(mut self) {
        self.child.kill().expect("the process runs");
        self.child.wait().expect("the process ends");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Whatever became of the test, no process is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn processes_find_each_other_and_notice_a_kill_a_return_and_a_leave() {
    let mut a = Process::start("a", &[]);
    let seed = a.addr.clone();
    let mut b = Process::start("b", &[&seed]);
    let c = Process::start("c", &[&seed]);
    a.wait_for_live("a b c");
    b.wait_for_live("a b c");

    c.kill();
    a.wait_for_live("a b");
    b.wait_for_live("a b");

    let mut c = Process::start("c", &[&seed]);
    let pid = c.child.id();
    c.wait_for_live("a b c");
    a.wait_for("the new run's key", |line| line == format!("key c pid {pid}"));
    b.wait_for("the new run's key", |line| line == format!("key c pid {pid}"));
    drop(c.stdin.take());
    let status = c.child.wait().expect("the process ends");
    assert!(status.success(), "leaving ends well: {status}");
    a.wait_for_live("a b");
}

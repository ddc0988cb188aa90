//! Nodes in processes of their own, and what they say.

#![allow(dead_code, reason = "not every test file uses all of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chitchat::tls::ClusterCa;
use tempfile::TempDir;

/// Nothing here takes this long on any machine; it only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

type Lines = Arc<Mutex<Vec<String>>>;

/// Where a process is started.
pub(crate) trait Place {
    /// Runs the program there, and nothing in its stead: killing it kills the program.
    fn command(&self, program: &str) -> Command;
}

/// In the network of this process.
pub(crate) struct Here;

impl Place for Here {
    fn command(&self, program: &str) -> Command {
        Command::new(program)
    }
}

/// Starts the nodes of one cluster, each with PEM files of its own.
pub(crate) struct Starter {
    transport: &'static str,
    ca: ClusterCa,
    folder: TempDir,
}

/// A running node.
pub(crate) struct Process {
    pub(crate) node_id: String,
    child: Child,
    /// Closed: it leaves.
    stdin: Option<ChildStdin>,
    said: Lines,
    log: Lines,
}

/// Where in what a process said to begin to look.
#[derive(Clone, Copy)]
pub(crate) struct Mark(usize);

fn gather(stream: impl Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let into = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            into.lock().expect("no reader panics").push(line);
        }
    });
    lines
}

impl Starter {
    /// All nodes use the same transport.
    pub(crate) fn new(transport: &'static str) -> Self {
        let ca = ClusterCa::generate("processes").expect("a CA can be made");
        Self { transport, ca, folder: TempDir::new().expect("a temporary folder can be made") }
    }

    fn pem_files(&self, node_id: &str) -> PathBuf {
        let folder = self.folder.path().join(node_id);
        let certificate = self.ca.issue(node_id).expect("a certificate can be issued");
        certificate.write_pem_files(&folder).expect("files can be written");
        folder
    }

    pub(crate) fn start(&self, place: &impl Place, node_id: &str, args: &[&str]) -> Process {
        let mut child = place
            .command(env!("CARGO_BIN_EXE_chitchat-test-node"))
            .args([node_id, "--transport", self.transport, "--pem"])
            .arg(self.pem_files(node_id))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the test binary starts");
        let stdin = child.stdin.take();
        let said = gather(child.stdout.take().expect("a pipe"));
        let log = gather(child.stderr.take().expect("a pipe"));
        let process = Process { node_id: node_id.to_owned(), child, stdin, said, log };
        until("it listens", &[&process], || process.find(Mark(0), "id ").is_some());
        process
    }
}

/// Waits until the condition holds.
#[track_caller]
pub(crate) fn until(what: &str, of: &[&Process], condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        if begin.elapsed() >= PATIENCE {
            let stories: Vec<String> = of.iter().map(|process| process.story()).collect();
            panic!("{what}: has not come about\n{}", stories.join("\n"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Process {
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.said.lock().expect("no writer panics").len())
    }

    /// The rest of the last line since the mark that begins like this.
    pub(crate) fn find(&self, since: Mark, begins: &str) -> Option<String> {
        let said = self.said.lock().expect("no writer panics");
        said[since.0..].iter().rev().find_map(|line| line.strip_prefix(begins)).map(str::to_owned)
    }

    /// The rest of all lines that begin like this.
    pub(crate) fn all(&self, begins: &str) -> Vec<String> {
        let said = self.said.lock().expect("no writer panics");
        said.iter().filter_map(|line| line.strip_prefix(begins)).map(str::to_owned).collect()
    }

    /// How many lines since the mark begin like this.
    pub(crate) fn count(&self, since: Mark, begins: &str) -> usize {
        let said = self.said.lock().expect("no writer panics");
        said[since.0..].iter().filter(|line| line.starts_with(begins)).count()
    }

    /// Who lives, as this node sees it.
    pub(crate) fn sees(&self, live: &str) -> bool {
        self.find(Mark(0), "live ").as_deref() == Some(live)
    }

    /// What a node advertises, as this node sees it.
    pub(crate) fn addrs_of(&self, node_id: &str) -> Vec<String> {
        let addrs = self.find(Mark(0), &format!("addrs {node_id} ")).unwrap_or_default();
        let mut addrs: Vec<String> = addrs.split_whitespace().map(str::to_owned).collect();
        addrs.sort();
        addrs
    }

    /// The value of somebody's key, as this node sees it.
    pub(crate) fn value(&self, owner: &str, key: &str) -> Option<String> {
        self.find(Mark(0), &format!("key {owner} {key} "))
    }

    /// The address that it listens on, if there is one only.
    pub(crate) fn addr(&self) -> SocketAddr {
        let addr = self.find(Mark(0), "addr ").expect("it listens");
        addr.parse().expect("an address")
    }

    fn tell(&self, line: &str) {
        let mut stdin = self.stdin.as_ref().expect("it has not left");
        writeln!(stdin, "{line}").expect("the process runs");
    }

    pub(crate) fn set(&self, key: &str, value: &str) {
        self.tell(&format!("set {key} {value}"));
    }

    #[track_caller]
    fn ask(&self, question: &str) -> String {
        let mark = self.mark();
        self.tell(question);
        let begins = format!("{question} ");
        until(question, &[self], || self.find(mark, &begins).is_some());
        self.find(mark, &begins).expect("it was there")
    }

    /// Its node id and generation now.
    pub(crate) fn id(&self) -> String {
        self.ask("id")
    }

    pub(crate) fn stats(&self) -> serde_json::Value {
        serde_json::from_str(&self.ask("stats")).expect("JSON")
    }

    /// What it wrote to its log.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().expect("no writer panics").clone()
    }

    /// All that there is to know when something went wrong.
    pub(crate) fn story(&self) -> String {
        let said = self.said.lock().expect("no writer panics");
        // Of the many answers about counters the last one tells most.
        let last = said.iter().rposition(|line| line.starts_with("stats "));
        let said: Vec<&str> = (said.iter().enumerate())
            .filter(|(at, line)| Some(*at) == last || !line.starts_with("stats "))
            .map(|(_, line)| &**line)
            .collect();
        let said = said.join("\n  ");
        format!("{} said:\n  {said}\nand its log:\n  {}", self.node_id, self.log().join("\n  "))
    }

    /// Stops it, as a debugger or a suspended machine does, or lets it go on.
    pub(crate) fn set_stopped(&self, stopped: bool) {
        let signal = if stopped { "-STOP" } else { "-CONT" };
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(status.expect("kill is there").success(), "{signal}");
    }

    /// Lets it leave and end.
    pub(crate) fn leave(mut self) {
        drop(self.stdin.take());
        let status = self.child.wait().expect("the process ends");
        assert!(status.success(), "leaving ends well: {status}");
    }

    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Ends it like a crash.
    pub(crate) fn kill(mut self) {
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

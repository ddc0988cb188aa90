//! The demonstration: certificates, processes, and what they see of each other.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::issue;

/// Nothing here takes this long; a step that does has failed.
const PATIENCE: Duration = Duration::from_secs(60);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

struct Process {
    id: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(dir: &Path, id: &str, seed: Option<&str>) -> Outcome<Process> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["node", "--id", id, "--listen", "127.0.0.1:0", "--dir"]).arg(dir);
        if let Some(seed) = seed {
            command.args(["--seed", seed]);
        }
        let spawned =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut child = spawned?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or("no pipe to the process")?;
        Ok(Process { id: id.to_owned(), child, stdin, lines: BufReader::new(stdout).lines() })
    }

    /// The next line that begins like this, without its beginning.
    async fn line(&mut self, begin: &str) -> Outcome<String> {
        let found = async {
            while let Some(line) = self.lines.next_line().await? {
                if let Some(rest) = line.strip_prefix(begin) {
                    return Ok(rest.trim().to_owned());
                }
            }
            Err(format!("{} has ended", self.id).into())
        };
        timeout(PATIENCE, found).await?
    }

    async fn sees(&mut self, live: &str) -> Outcome<()> {
        while self.line("live ").await? != live {}
        Ok(())
    }

    /// Ends the process as an operator would: it leaves the cluster first.
    async fn stop(mut self) -> Outcome<()> {
        drop(self.stdin.take());
        let status = timeout(PATIENCE, self.child.wait()).await??;
        if status.success() { Ok(()) } else { Err(format!("{}: {status}", self.id).into()) }
    }
}

fn say(line: &str) {
    // A closed pipe is no reason to end: the steps are what counts.
    let _ = writeln!(std::io::stdout(), "{line}");
}

pub(crate) async fn run(nodes: u8) -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let ids: Vec<String> = (1..=nodes).map(|number| format!("node-{number:02}")).collect();
    issue(dir.path(), &ids)?;
    say(&format!("an authority and {nodes} certificates are in {}", dir.path().display()));

    let mut processes = Vec::new();
    let mut seed = None;
    for id in &ids {
        let mut process = Process::start(dir.path(), id, seed.as_deref())?;
        let addr = process.line("listening ").await?;
        say(&format!("{id} is process {:?}, on {addr}", process.child.id()));
        seed.get_or_insert(addr);
        processes.push(process);
    }
    let all = ids.join(" ");
    for process in &mut processes {
        process.sees(&all).await?;
    }
    say("every process has verified the others, and sees them all live");

    let leaver = processes.pop().ok_or("there are no processes")?;
    let rest = ids.get(..ids.len() - 1).unwrap_or_default().join(" ");
    let name = leaver.id.clone();
    leaver.stop().await?;
    for process in &mut processes {
        process.sees(&rest).await?;
    }
    say(&format!("{name} has left, and the others know"));
    for process in processes {
        process.stop().await?;
    }
    Ok(())
}

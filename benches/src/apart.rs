//! A process for each measurement, and where sockets are used, a network of its own for it.

use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::args::Run;
use crate::report::Line;
use crate::subject::TransportKind;

/// Set for the processes that measure. They start no other ones.
const CHILD: &str = "CHITCHAT_BENCHES_CHILD";
/// Set where nobody else uses the loopback device.
const OWN_LOOPBACK: &str = "CHITCHAT_BENCHES_OWN_LOOPBACK";

/// Runs a program in a network namespace.
const UNSHARE: [&str; 6] = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c"];
const THEN: &str = "ip link set lo up && exec \"$0\" \"$@\"";

pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Whether all that goes over the loopback device is this process's.
pub(crate) fn has_own_loopback() -> bool {
    std::env::var_os(OWN_LOOPBACK).is_some()
}

/// Measures one subject in one case, in a process of its own.
pub(crate) fn measure(run: &Run) -> anyhow::Result<Line> {
    anyhow::ensure!(!is_child(), "a process that measures starts no other one");
    let program = std::env::current_exe().context("this program is not to be found")?;
    let sockets = run.transport != TransportKind::Memory;
    let mut command = if sockets && can_unshare() {
        let mut command = Command::new(UNSHARE[0]);
        command.args(&UNSHARE[1..]).arg(THEN).arg(program).env(OWN_LOOPBACK, "1");
        command
    } else {
        Command::new(program)
    };
    let output = command
        .args(std::env::args_os().skip(1))
        .arg("--json")
        .args(&run.args)
        .env(CHILD, "1")
        .stderr(Stdio::inherit())
        .output()
        .context("a measurement does not start")?;
    anyhow::ensure!(output.status.success(), "{}", output.status);
    let text = String::from_utf8(output.stdout)?;
    Line::parse(text.trim()).with_context(|| format!("no measurement: {text:?}"))
}

/// Whether this user may have a network namespace, and there is what makes one.
fn can_unshare() -> bool {
    let mut probe = Command::new(UNSHARE[0]);
    probe.args(&UNSHARE[1..]).arg(THEN).arg("true");
    probe.stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

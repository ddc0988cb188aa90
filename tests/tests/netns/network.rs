//! Hosts on one switch, made of Linux network namespaces. All names and addresses but those of the
//! namespaces are inside of them, so that nothing of the machine's own network is touched.

use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::node_process::Place;

/// Counts the networks of this process.
static NETWORKS: AtomicUsize = AtomicUsize::new(0);

/// The switch. Everything is taken down when it is dropped.
pub(crate) struct Network {
    prefix: String,
    namespaces: Vec<String>,
}

/// One machine on the switch, with the interface `eth0`.
#[derive(Clone)]
pub(crate) struct Host {
    namespace: String,
}

impl Place for Host {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        // It becomes the program.
        command.args(["netns", "exec", &self.namespace, program]);
        command
    }
}

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`{program} {}` failed: {}", args.join(" "), said.trim()))
    }
}

fn ip(args: &str) -> Result<String, String> {
    run("ip", &args.split(' ').collect::<Vec<_>>())
}

/// The test harness shows nothing that a test that passes prints through macros.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

impl Network {
    /// A switch without hosts; `None` where that is not permitted, which is said on standard error.
    pub(crate) fn new() -> Option<Network> {
        let number = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("chitchat-{}-{number}", std::process::id());
        let mut network = Network { prefix, namespaces: Vec::new() };
        match network.build() {
            Ok(()) => Some(network),
            Err(why) => {
                say(&format!("skipped: network namespaces cannot be used here: {why}"));
                None
            }
        }
    }

    /// What begins the names of all its namespaces.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// All namespaces of the machine that have names.
    pub(crate) fn namespaces() -> String {
        ip("netns list").unwrap_or_else(|why| panic!("{why}"))
    }

    fn build(&mut self) -> Result<(), String> {
        let switch = self.namespace("switch")?;
        ip(&format!("-n {switch} link add bridge type bridge"))?;
        ip(&format!("-n {switch} link set bridge up"))?;
        // That both families and all kinds of devices are there is found out now.
        let probe = self.namespace("probe")?;
        self.plug(&probe, "probe")?;
        ip(&format!("-n {probe} addr add 10.77.255.254/16 dev eth0"))?;
        ip(&format!("-n {probe} addr add fd77::ffff/64 dev eth0 nodad"))?;
        Ok(())
    }

    fn namespace(&mut self, name: &str) -> Result<String, String> {
        let namespace = format!("{}-{name}", self.prefix);
        ip(&format!("netns add {namespace}"))?;
        self.namespaces.push(namespace.clone());
        ip(&format!("-n {namespace} link set lo up"))?;
        Ok(namespace)
    }

    fn plug(&self, namespace: &str, name: &str) -> Result<(), String> {
        let switch = format!("{}-switch", self.prefix);
        // A prefix, since `ip` takes short names for words of its own.
        let port = format!("port-{name}");
        ip(&format!("-n {switch} link add {port} type veth peer name eth0 netns {namespace}"))?;
        ip(&format!("-n {switch} link set {port} master bridge up"))?;
        ip(&format!("-n {namespace} link set eth0 up"))?;
        Ok(())
    }

    /// A host with these addresses, as in `10.77.0.1` and `fd77::1`. A host without an IPv6 address
    /// has no IPv6 at all.
    pub(crate) fn host(&mut self, name: &str, addrs: &[&str]) -> Host {
        let namespace = self.namespace(name).expect("what worked for the probe works");
        let host = Host { namespace };
        if addrs.iter().all(|addr| !addr.contains(':')) {
            for which in ["all", "default"] {
                host.set(&format!("net/ipv6/conf/{which}/disable_ipv6"), "1");
            }
        }
        self.plug(&host.namespace, name).expect("what worked for the probe works");
        for addr in addrs {
            host.add_addr(addr);
        }
        host
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Devices go with their namespaces, and a namespace with the last process in it.
        for namespace in self.namespaces.drain(..).rev() {
            if let Err(why) = ip(&format!("netns del {namespace}")) {
                say(&why);
            }
        }
    }
}

impl Host {
    /// Runs `ip` in this host.
    #[track_caller]
    pub(crate) fn ip(&self, args: &str) {
        ip(&format!("-n {} {args}", self.namespace)).unwrap_or_else(|why| panic!("{why}"));
    }

    fn set(&self, variable: &str, value: &str) {
        let write = format!("echo {value} > /proc/sys/{variable}");
        run("ip", &["netns", "exec", &self.namespace, "sh", "-c", &write])
            .unwrap_or_else(|why| panic!("{why}"));
    }

    /// Without the wait for others that might have the address (`nodad`).
    #[track_caller]
    pub(crate) fn add_addr(&self, addr: &str) {
        if addr.contains(':') {
            self.ip(&format!("addr add {addr}/64 dev eth0 nodad"));
        } else {
            self.ip(&format!("addr add {addr}/16 dev eth0"));
        }
    }

    #[track_caller]
    pub(crate) fn del_addr(&self, addr: &str) {
        let len = if addr.contains(':') { 64 } else { 16 };
        self.ip(&format!("addr del {addr}/{len} dev eth0"));
    }

    /// Asks the kernel to treat what leaves this host like a bad link; `false` if it cannot.
    pub(crate) fn impair(&self, netem: &str) -> bool {
        let args =
            format!("netns exec {} tc qdisc add dev eth0 root netem {netem}", self.namespace);
        match ip(&args) {
            Ok(_) => true,
            Err(why) => {
                say(&format!("skipped: no bad links from the kernel here: {why}"));
                false
            }
        }
    }
}

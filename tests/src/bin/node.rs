//! A node in a process of its own, for the tests that kill processes and take networks apart.
//!
//! `chitchat-test-node NODE_ID --transport quic|tcp-tls|tcp|udp [--pem FOLDER] --listen ADDR… [--advertise ADDR…] [--seed ADDR…]
//! [--interval MILLISECONDS] [--log LEVEL]`, where the folder has `ca.pem`, `cert.pem` and
//! `key.pem`, if the transport needs them. Prints
//!
//! - `addr ADDR` for each address that it listens on, and `id NODE_ID GENERATION`,
//! - `live ID…` whenever the set of live nodes changes,
//! - `joined|left|failed|recovered NODE_ID GENERATION`,
//! - `addrs NODE_ID ADDR…` for what a node advertises, whenever it changes,
//! - `key OWNER KEY VALUE` for each key that is set,
//! - `stats JSON` and `id NODE_ID GENERATION` when asked.
//!
//! Takes the lines `set KEY VALUE`, `stats` and `id` on standard input; when that ends, it leaves and
//! ends. The log goes to standard error.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chitchat::quic::QuicTransport;
use chitchat::tcp::{PlainTcpTransport, TlsTcpTransport};
use chitchat::tls::TlsConfig;
use chitchat::udp::PlainUdpTransport;
use chitchat::{ChitchatConfig, ChitchatHandle, Event, NodeState};
use tokio::io::{AsyncBufReadExt, BufReader};
use tracing_subscriber::filter::LevelFilter;

type Failure = Box<dyn std::error::Error>;

struct Options {
    node_id: String,
    transport: String,
    pem: PathBuf,
    listen: Vec<String>,
    advertise: Vec<String>,
    seeds: Vec<String>,
    interval: Duration,
    log: LevelFilter,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let node_id = args.next().ok_or("the first argument is the node id")?;
        let mut options = Self {
            node_id,
            transport: "quic".to_owned(),
            pem: PathBuf::new(),
            listen: Vec::new(),
            advertise: Vec::new(),
            seeds: Vec::new(),
            interval: Duration::from_millis(200),
            log: LevelFilter::INFO,
        };
        while let Some(flag) = args.next() {
            let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
            match &*flag {
                "--transport" => options.transport = value,
                "--pem" => options.pem = value.into(),
                "--listen" => options.listen.push(value),
                "--advertise" => options.advertise.push(value),
                "--seed" => options.seeds.push(value),
                "--interval" => options.interval = Duration::from_millis(value.parse()?),
                "--log" => options.log = value.parse()?,
                _ => return Err(format!("{flag} is not known").into()),
            }
        }
        Ok(options)
    }
}

/// A closed pipe means that the test is over.
fn print(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn print_id(node: &ChitchatHandle) -> std::io::Result<()> {
    let id = node.id();
    print(&format!("id {} {}", id.node_id, id.generation_id))
}

fn print_addrs(node_id: &str, addrs: &[SocketAddr]) -> std::io::Result<()> {
    let addrs: Vec<String> = addrs.iter().map(ToString::to_string).collect();
    print(&format!("addrs {node_id} {}", addrs.join(" ")))
}

fn print_state(state: &NodeState) -> std::io::Result<()> {
    let id = state.id();
    print(&format!("joined {} {}", id.node_id, id.generation_id))?;
    print_addrs(&id.node_id, state.advertise_addrs())?;
    state
        .key_values()
        .try_for_each(|(key, value)| print(&format!("key {} {key} {value}", id.node_id)))
}

fn print_event(event: &Event) -> std::io::Result<()> {
    let (what, id) = match event {
        Event::Joined { state } => return print_state(state),
        Event::AddressesChanged { id, addrs } => return print_addrs(&id.node_id, addrs),
        Event::KeySet { id, key, value, .. } => {
            return print(&format!("key {} {key} {value}", id.node_id));
        }
        Event::Left { id } => ("left", id),
        Event::Failed { id } => ("failed", id),
        Event::Recovered { id } => ("recovered", id),
        _ => return Ok(()),
    };
    print(&format!("{what} {} {}", id.node_id, id.generation_id))
}

fn obey(node: &ChitchatHandle, line: &str) -> Result<(), Failure> {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["set", key, value] => {
            node.set(key, value)?;
        }
        ["stats"] => print(&format!("stats {}", serde_json::to_string(&node.stats())?))?,
        ["id"] => print_id(node)?,
        _ => return Err(format!("{line:?} is no command").into()),
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let options = Options::parse(std::env::args().skip(1))?;
    tracing_subscriber::fmt()
        .with_max_level(options.log)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let file = |name| options.pem.join(name);
    let identity = || TlsConfig::from_pem_files(file("ca.pem"), file("cert.pem"), file("key.pem"));
    let config = ChitchatConfig::builder("processes", options.node_id)
        .initial_key_values([("pid", std::process::id().to_string())])
        .listen(options.listen)
        .advertise(options.advertise)
        .seeds(options.seeds)
        .gossip_interval(options.interval)
        .build()?;
    let node = match &*options.transport {
        "quic" => chitchat::spawn(config, QuicTransport::new(identity()?)).await?,
        "tcp-tls" => chitchat::spawn(config, TlsTcpTransport::new(identity()?)).await?,
        "tcp" => chitchat::spawn(config, PlainTcpTransport::new()).await?,
        "udp" => chitchat::spawn(config, PlainUdpTransport::new()).await?,
        other => return Err(format!("{other:?} is no transport").into()),
    };
    node.local_addrs().iter().try_for_each(|addr| print(&format!("addr {addr}")))?;
    print_id(&node)?;

    let (mut state, mut events) = node.events();
    state.nodes().try_for_each(|state| print_state(state))?;
    let mut watcher = node.live_nodes_watcher();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut last = String::new();
    loop {
        let live: Vec<&str> = state.live_nodes().map(|node| &*node.id().node_id).collect();
        let line = format!("live {}", live.join(" "));
        if line != last {
            print(&line)?;
            last = line;
        }
        tokio::select! {
            changed = watcher.changed() => state = changed?,
            event = events.next() => {
                let Some(event) = event else { return Err("the node has ended".into()) };
                print_event(&event?)?;
            }
            line = lines.next_line() => match line? {
                Some(line) => obey(&node, &line)?,
                None => break,
            }
        }
    }
    node.leave().await?;
    node.shutdown().await?;
    Ok(())
}

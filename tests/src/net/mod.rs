//! What tests over real sockets need: links with limits, and strangers.

mod quic;
mod relay;
mod rogue;
mod tcp;
mod tcp_relay;

pub use quic::{Quic, QuicSession};
pub use relay::{LinkProfile, RelayCounts, UdpRelay};
pub use rogue::{Papers, RogueListener, Session, VerifiesNobody, Wire};
pub use tcp::{TcpSession, TlsTcp};
pub use tcp_relay::TcpRelay;

//! What an error of the operating system means for a socket that has to go on.
//!
//! A transport survives them all: none of them is a reason to stop.

use std::io;

use crate::inbound::UnreachableReason;

/// What to do about a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a transport has to handle each")]
pub enum Class {
    /// Not a failure: try again when the socket is ready.
    WouldBlock,
    /// Not a failure: try again at once.
    Interrupted,
    /// This datagram is too long for the way it has to go.
    TooLong,
    /// This address cannot be reached at present.
    Peer(UnreachableReason),
    /// This address cannot be reached from this host: another one may.
    Route,
    /// The host does not know the address family.
    Family,
    /// The host is short of something, or its network is down: wait.
    Local,
    /// The socket is no good any more, or nobody knows what happened: wait, then open it anew.
    Socket,
}

/// A failure with the name under which it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The name that the operating system's manual has for it, for example `ENOBUFS`.
    pub name: &'static str,
    /// What to do about it.
    pub class: Class,
}

/// What this error is, by its number where there is one, else by its kind.
#[must_use]
pub fn classify(error: &io::Error) -> Failure {
    if let Some(failure) = error.raw_os_error().and_then(by_number) {
        return failure;
    }
    let (name, class) = match error.kind() {
        io::ErrorKind::WouldBlock => ("EAGAIN", Class::WouldBlock),
        io::ErrorKind::Interrupted => ("EINTR", Class::Interrupted),
        io::ErrorKind::ConnectionRefused => ("ECONNREFUSED", refused()),
        // What Windows returns from recv for an ICMP port unreachable.
        io::ErrorKind::ConnectionReset => ("ECONNRESET", refused()),
        // A Unix socket's file is not there.
        io::ErrorKind::NotFound => ("ENOENT", refused()),
        io::ErrorKind::HostUnreachable => ("EHOSTUNREACH", host_unreachable()),
        io::ErrorKind::NetworkUnreachable => ("ENETUNREACH", Class::Route),
        io::ErrorKind::AddrNotAvailable => ("EADDRNOTAVAIL", Class::Route),
        io::ErrorKind::NetworkDown => ("ENETDOWN", Class::Local),
        io::ErrorKind::OutOfMemory => ("ENOMEM", Class::Local),
        io::ErrorKind::PermissionDenied => ("EACCES", prohibited()),
        _ => ("other", Class::Socket),
    };
    Failure { name, class }
}

fn refused() -> Class {
    Class::Peer(UnreachableReason::Refused)
}

fn host_unreachable() -> Class {
    Class::Peer(UnreachableReason::HostUnreachable)
}

fn prohibited() -> Class {
    Class::Peer(UnreachableReason::Prohibited)
}

#[cfg(not(unix))]
fn by_number(_number: i32) -> Option<Failure> {
    None
}

/// The same for the bare number; `None` if it is not one that is known.
// The standard library cannot name most of these, hence rustix. A test goes through all of them.
#[cfg(unix)]
#[must_use]
pub fn by_number(number: i32) -> Option<Failure> {
    use rustix::io::Errno;

    // The numbers that Linux has room for; rustix takes no others.
    if !(1..4_096).contains(&number) {
        return None;
    }
    let (name, class) = match Errno::from_raw_os_error(number) {
        Errno::AGAIN => ("EAGAIN", Class::WouldBlock),
        Errno::INTR => ("EINTR", Class::Interrupted),
        Errno::MSGSIZE => ("EMSGSIZE", Class::TooLong),
        Errno::CONNREFUSED => ("ECONNREFUSED", refused()),
        // From a Unix socket, whose file is not there.
        Errno::NOENT => ("ENOENT", refused()),
        Errno::CONNRESET => ("ECONNRESET", refused()),
        Errno::NOPROTOOPT => ("ENOPROTOOPT", refused()),
        Errno::PROTO => ("EPROTO", refused()),
        Errno::HOSTUNREACH => ("EHOSTUNREACH", host_unreachable()),
        Errno::HOSTDOWN => ("EHOSTDOWN", host_unreachable()),
        // A local firewall says EPERM, one on the way EACCES; both can end any moment.
        Errno::PERM => ("EPERM", prohibited()),
        Errno::ACCESS => ("EACCES", prohibited()),
        Errno::TIMEDOUT => ("ETIMEDOUT", Class::Peer(UnreachableReason::TimedOut)),
        Errno::NETUNREACH => ("ENETUNREACH", Class::Route),
        Errno::ADDRNOTAVAIL => ("EADDRNOTAVAIL", Class::Route),
        // From a socket bound to loopback to an address elsewhere, or to port 0.
        Errno::INVAL => ("EINVAL", Class::Route),
        Errno::DESTADDRREQ => ("EDESTADDRREQ", Class::Route),
        Errno::AFNOSUPPORT => ("EAFNOSUPPORT", Class::Family),
        Errno::NOBUFS => ("ENOBUFS", Class::Local),
        Errno::NOMEM => ("ENOMEM", Class::Local),
        Errno::NETDOWN => ("ENETDOWN", Class::Local),
        Errno::NETRESET => ("ENETRESET", Class::Local),
        Errno::MFILE => ("EMFILE", Class::Local),
        Errno::NFILE => ("ENFILE", Class::Local),
        Errno::CONNABORTED => ("ECONNABORTED", Class::Socket),
        Errno::PIPE => ("EPIPE", Class::Socket),
        Errno::NOTCONN => ("ENOTCONN", Class::Socket),
        Errno::SHUTDOWN => ("ESHUTDOWN", Class::Socket),
        Errno::NODEV => ("ENODEV", Class::Socket),
        Errno::IO => ("EIO", Class::Socket),
        Errno::BADF => ("EBADF", Class::Socket),
        Errno::NOTSOCK => ("ENOTSOCK", Class::Socket),
        _ => return None,
    };
    Some(Failure { name, class })
}

//! News of peers whose identity was refused.

use std::net::SocketAddr;
use std::sync::Arc;

use chitchat_tls::IdentityError;
use chitchat_transport::{News, Report};

/// We will not have the peer at `addr`, who was to be `expected`.
pub fn tell_refused(
    news: &News,
    addr: SocketAddr,
    expected: Option<Arc<str>>,
    error: &IdentityError,
) {
    news.counters.identity_refused(error.kind());
    news.tell(Report::IdentityRefused {
        addr,
        expected,
        presented: error.presented().map(Arc::from),
        reason: error.to_string().into(),
    });
}

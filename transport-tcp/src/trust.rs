//! Keeping to whom we trust: peers are verified again when that changes.

#[cfg(feature = "tls")]
pub(crate) use with_tls::Trust;
#[cfg(not(feature = "tls"))]
pub(crate) use without::Trust;

#[cfg(feature = "tls")]
mod with_tls {
    use std::sync::Arc;

    use chitchat_transport_links::{
        Link as _, Linked as _, RENEWAL_TAKES, Renewals, tell_refused, verify_again,
    };
    use tokio::sync::watch;
    use tokio::time::Instant;

    use crate::link::TcpLink;
    use crate::security::Security;
    use crate::shared::Shared;

    pub(crate) struct Trust {
        /// Changes with the credentials. `None` if there are none, or there will be no others.
        epochs: Option<watch::Receiver<u64>>,
        renewals: Renewals,
    }

    impl Trust {
        pub(crate) fn new(security: &Security) -> Self {
            let epochs = security.tls().map(|tls| tls.subscribe());
            Self { epochs, renewals: Renewals::default() }
        }

        /// Returns when other credentials are to be used.
        pub(crate) async fn changed(&mut self) {
            if let Some(epochs) = &mut self.epochs
                && epochs.changed().await.is_ok()
            {
                return;
            }
            self.epochs = None;
            std::future::pending().await
        }

        /// Cuts off peers that are not trusted any more, and lets those see our new certificate
        /// that know the former.
        pub(crate) fn keep(
            &mut self,
            shared: &Shared,
            links: &[(Arc<TcpLink>, bool)],
            now: Instant,
        ) {
            let Some(tls) = shared.security.tls() else { return };
            let credentials = tls.current();
            verify_again(links, &credentials, |link, error| {
                let news = &shared.hub.news;
                tell_refused(news, link.remote(), Some(Arc::clone(link.node_id())), error);
            });
            for link in self.renewals.due(links, &credentials, now) {
                shared.hub.connections().retire(&link, RENEWAL_TAKES, now);
            }
        }
    }
}

#[cfg(not(feature = "tls"))]
mod without {
    use std::sync::Arc;

    use tokio::time::Instant;

    use crate::link::TcpLink;
    use crate::security::Security;
    use crate::shared::Shared;

    /// Nobody is verified.
    pub(crate) struct Trust;

    impl Trust {
        pub(crate) fn new(_: &Security) -> Self {
            Self
        }

        pub(crate) async fn changed(&mut self) {
            std::future::pending().await
        }

        pub(crate) fn keep(&mut self, _: &Shared, _: &[(Arc<TcpLink>, bool)], _: Instant) {}
    }
}

//! Which connections there are, and which of them serves for sending.
//!
//! Pure bookkeeping: what is to happen to a connection is returned, not done.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// What the registry has to know of a connection.
pub trait Linked {
    /// Unique within the transport.
    fn token(&self) -> u64;
    /// The verified identity of the peer.
    fn node_id(&self) -> &Arc<str>;
    /// The address that we dialled; `None` if the peer dialled us.
    fn dialled(&self) -> Option<SocketAddr>;
}

/// What becomes of a connection because another one was set up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is no longer sent on; whoever dialled it closes it when it is quiet.
    Drains(u64),
    /// It is closed now: there are too many to this peer.
    Closes(u64),
}

/// Whether a connection is sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Serves,
    /// Another one serves instead. If that ends first, this one serves again.
    Superseded,
    /// It is to end, whether or not there is another one.
    Retired,
}

#[derive(Debug)]
struct Entry<L> {
    link: Arc<L>,
    state: State,
}

impl<L> Entry<L> {
    fn drains(&self) -> bool {
        self.state != State::Serves
    }
}

/// At most one connection serves for each verified identity; a second one may be draining.
#[derive(Debug)]
pub(crate) struct Registry<L> {
    own_id: Arc<str>,
    links: HashMap<u64, Entry<L>>,
    /// Tokens in the order in which the connections were set up.
    by_node: HashMap<Arc<str>, Vec<u64>>,
    by_addr: HashMap<SocketAddr, u64>,
}

impl<L: Linked> Registry<L> {
    pub(crate) fn new(own_id: Arc<str>) -> Self {
        Self { own_id, links: HashMap::new(), by_node: HashMap::new(), by_addr: HashMap::new() }
    }

    /// Takes in a connection that was just set up. In the same direction the newest one serves,
    /// since the peer that dialled again had a reason. Of opposite directions the one that the
    /// smaller node id dialled serves: both ends know that without a word.
    pub(crate) fn admit(&mut self, link: Arc<L>) -> Vec<Fate> {
        let (token, node_id) = (link.token(), Arc::clone(link.node_id()));
        let by_us = link.dialled().is_some();
        if let Some(addr) = link.dialled() {
            self.by_addr.insert(addr, token);
        }
        self.links.insert(token, Entry { link, state: State::Serves });
        let tokens = self.by_node.entry(Arc::clone(&node_id)).or_default();
        let earlier = tokens.clone();
        tokens.push(token);
        if node_id == self.own_id {
            // The two ends of a connection to ourselves, or to somebody with our name.
            return Vec::new();
        }
        let mut fates = Vec::new();
        let ours_serves = self.own_id < node_id;
        for old in &earlier {
            let Some(entry) = self.links.get(old).filter(|entry| !entry.drains()) else { continue };
            let same_direction = entry.link.dialled().is_some() == by_us;
            let new_serves = same_direction || by_us == ours_serves;
            let loser = if new_serves { *old } else { token };
            fates.push(Fate::Drains(loser));
        }
        for fate in &fates {
            if let Fate::Drains(loser) = fate
                && let Some(entry) = self.links.get_mut(loser)
            {
                entry.state = State::Superseded;
            }
        }
        // The one that serves, and one that drains.
        let surplus = (earlier.len() + 1).saturating_sub(2);
        let mut draining: Vec<u64> = earlier;
        draining.push(token);
        draining.retain(|token| self.links.get(token).is_some_and(Entry::drains));
        fates.extend(draining.into_iter().take(surplus).map(Fate::Closes));
        fates
    }

    /// A connection is no longer to be sent on, even if it is the only one.
    pub(crate) fn drain(&mut self, token: u64) {
        if let Some(entry) = self.links.get_mut(&token) {
            entry.state = State::Retired;
        }
    }

    /// Forgets a connection that has ended. Returns the one that serves again in its place, if
    /// there is one: the other end closed the one that we thought would stay (it lost a race of
    /// dials, or led to the wrong node), and knows of no reason not to use the former.
    pub(crate) fn remove(&mut self, token: u64) -> Option<Arc<L>> {
        let entry = self.links.remove(&token)?;
        let node_id = entry.link.node_id();
        if let Some(tokens) = self.by_node.get_mut(node_id) {
            tokens.retain(|known| *known != token);
            if tokens.is_empty() {
                self.by_node.remove(node_id);
            }
        }
        self.by_addr.retain(|_, known| *known != token);
        if entry.drains() || self.of_node(node_id).is_some() {
            return None;
        }
        let tokens = self.by_node.get(node_id)?.iter().rev();
        let state = |token: &u64| self.links.get(token).map(|entry| entry.state);
        let next = tokens.copied().find(|token| state(token) == Some(State::Superseded))?;
        let next = self.links.get_mut(&next)?;
        next.state = State::Serves;
        Some(Arc::clone(&next.link))
    }

    /// This very connection.
    pub(crate) fn get(&self, token: u64) -> Option<&Arc<L>> {
        self.links.get(&token).map(|entry| &entry.link)
    }

    /// The connection that serves for a node.
    pub(crate) fn of_node(&self, node_id: &str) -> Option<&Arc<L>> {
        let tokens = self.by_node.get(node_id)?;
        self.serving(tokens.iter().rev())
    }

    /// The connection that serves for whoever was found at an address that we dialled.
    pub(crate) fn of_addr(&self, addr: SocketAddr) -> Option<&Arc<L>> {
        let entry = self.links.get(self.by_addr.get(&addr)?)?;
        self.in_place_of(entry)
    }

    /// This connection, or the one that has taken its place.
    pub(crate) fn of_token(&self, token: u64) -> Option<&Arc<L>> {
        self.in_place_of(self.links.get(&token)?)
    }

    fn in_place_of<'a>(&'a self, entry: &'a Entry<L>) -> Option<&'a Arc<L>> {
        if !entry.drains() || *entry.link.node_id() == self.own_id {
            return Some(&entry.link);
        }
        self.of_node(entry.link.node_id())
    }

    fn serving<'a>(&'a self, mut tokens: impl Iterator<Item = &'a u64>) -> Option<&'a Arc<L>> {
        tokens
            .find_map(|token| self.links.get(token).filter(|entry| !entry.drains()))
            .map(|e| &e.link)
    }

    /// All connections, and whether each drains.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<L>, bool)> {
        self.links.values().map(|entry| (&entry.link, entry.drains()))
    }

    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }
}

#[cfg(test)]
mod tests;

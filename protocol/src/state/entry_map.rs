//! The entries by key: a persistent sorted map.
//!
//! A B-tree whose nodes are shared between clones and copied when they are written to. Unlike a
//! general one it is made to hold a million small entries: a node takes the memory of what is in
//! it, whichever order the keys came in.

mod diff;

use std::sync::Arc;

use crate::state::key::{Key, Probe};
use crate::state::value::VersionedValue;

pub(crate) use diff::Difference;

/// Most entries or children of a node. A write to a node that a snapshot shares copies so many; a
/// tree of a million entries has four levels.
const FANOUT: usize = 32;

/// A node with fewer is joined to a neighbour where both together fill no more than half a node.
const SPARSE: usize = FANOUT / 4;

/// Room that a node gains when it is full: little, since most nodes are not written to again.
const GROWTH: usize = 4;

type Entry = (Key, VersionedValue);
/// A child, and a key that is not above any in it, save in the first child, and above all before.
type Child = (Key, Arc<Node>);

#[derive(Clone, Debug)]
enum Node {
    Leaf(Vec<Entry>),
    Branch(Vec<Child>),
}

/// Entries in the order of their keys. A clone costs nothing, and shares what neither changes.
#[derive(Clone, Debug)]
pub(crate) struct EntryMap {
    root: Arc<Node>,
    len: usize,
}

impl Default for EntryMap {
    fn default() -> EntryMap {
        EntryMap { root: Arc::new(Node::Leaf(Vec::new())), len: 0 }
    }
}

impl PartialEq for EntryMap {
    fn eq(&self, other: &EntryMap) -> bool {
        self.len == other.len && self.diff(other).next().is_none()
    }
}

impl Eq for EntryMap {}

impl EntryMap {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, key: &str) -> Option<&VersionedValue> {
        Some(&self.root.find(&Probe::new(key))?.1)
    }

    pub(crate) fn find(&self, key: &Key) -> Option<&VersionedValue> {
        Some(&self.root.find(&Probe::of(key))?.1)
    }

    /// To look up many keys that are near each other.
    pub(crate) fn finder(&self) -> Finder<'_> {
        Finder { map: self, leaf: &[] }
    }

    /// Whether both are one and the same.
    pub(crate) fn ptr_eq(&self, other: &EntryMap) -> bool {
        Arc::ptr_eq(&self.root, &other.root)
    }

    /// Puts an entry, key and value, in the place of the one with the same key.
    pub(crate) fn insert(&mut self, key: Key, value: VersionedValue) -> Option<VersionedValue> {
        let (old, split) = insert(&mut self.root, key, value);
        if let Some(right) = split {
            // The key of a first child is not looked at.
            let left = (Key::new(""), std::mem::take(&mut self.root));
            self.root = Arc::new(Node::Branch(vec![left, right]));
        }
        self.len += usize::from(old.is_none());
        old
    }

    /// Changes the value of a key in its place; false if there is no such key.
    pub(crate) fn update(&mut self, key: &Key, change: impl FnOnce(&mut VersionedValue)) -> bool {
        // A miss must not copy what is shared.
        let probe = Probe::of(key);
        if self.root.find(&probe).is_none() {
            return false;
        }
        let mut node = &mut self.root;
        loop {
            match Arc::make_mut(node) {
                Node::Leaf(entries) => {
                    let found = search(entries, &probe).ok();
                    let entry = found.and_then(|at| entries.get_mut(at));
                    return entry.map(|(_, value)| change(value)).is_some();
                }
                Node::Branch(children) => {
                    let at = child_of(children, &probe);
                    let Some((_, child)) = children.get_mut(at) else { return false };
                    node = child;
                }
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Entry> {
        let key = Probe::new(key);
        self.root.find(&key)?;
        let removed = remove(&mut self.root, &key)?;
        self.len -= 1;
        while let Node::Branch(children) = &*self.root
            && let [(_, only)] = &children[..]
        {
            self.root = only.clone();
        }
        Some(removed)
    }

    pub(crate) fn iter(&self) -> Iter<'_> {
        self.iter_from("")
    }

    /// The entries whose keys are not below `start`.
    pub(crate) fn iter_from(&self, start: &str) -> Iter<'_> {
        let start = &Probe::new(start);
        let mut iter = Iter { branches: Vec::new(), leaf: [].iter() };
        let mut node = &*self.root;
        while let Node::Branch(children) = node {
            let mut rest = children.get(child_of(children, start)..).unwrap_or_default().iter();
            let Some((_, child)) = rest.next() else { return iter };
            iter.branches.push(rest);
            node = child;
        }
        if let Node::Leaf(entries) = node {
            let at = search(entries, start).unwrap_or_else(|at| at);
            iter.leaf = entries.get(at..).unwrap_or_default().iter();
        }
        iter
    }

    /// Verifies the shape; for tests.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut keys = self.iter().map(|(key, _)| key);
        let counted = self.iter().count();
        if counted != self.len || !keys.by_ref().is_sorted_by(|a, b| a < b) {
            return Err(format!("{} entries, {counted} counted, or out of order", self.len));
        }
        let lost = self.iter().find(|(key, _)| self.get(key.as_str()).is_none());
        lost.map_or(Ok(()), |(key, _)| Err(format!("{key:?} cannot be found")))
    }
}

impl Default for Node {
    fn default() -> Node {
        Node::Leaf(Vec::new())
    }
}

impl Node {
    fn find(&self, key: &Probe<'_>) -> Option<&Entry> {
        let leaf = self.leaf_of(key);
        leaf.get(search(leaf, key).ok()?)
    }

    /// The leaf in which a key is, if it is anywhere.
    fn leaf_of(&self, key: &Probe<'_>) -> &[Entry] {
        let mut node = self;
        loop {
            match node {
                Node::Leaf(entries) => return entries,
                Node::Branch(children) => match children.get(child_of(children, key)) {
                    Some((_, child)) => node = child,
                    None => return &[],
                },
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Branch(children) => children.len(),
        }
    }
}

fn search(entries: &[Entry], key: &Probe<'_>) -> Result<usize, usize> {
    entries.binary_search_by(|(at, _)| key.order_of(at))
}

/// The child in which a key is, if it is anywhere.
fn child_of(children: &[Child], key: &Probe<'_>) -> usize {
    let others = children.get(1..).unwrap_or_default();
    others.partition_point(|(low, _)| key.order_of(low).is_le())
}

/// Inserts below a node; returns the value that was there, and what was split off.
fn insert(
    node: &mut Arc<Node>,
    key: Key,
    value: VersionedValue,
) -> (Option<VersionedValue>, Option<Child>) {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => match search(entries, &Probe::of(&key)) {
            Ok(at) => {
                let slot = entries.get_mut(at);
                let old = slot.map(|slot| std::mem::replace(slot, (key, value)).1);
                (old, None)
            }
            Err(at) => {
                let right = insert_at(entries, at, (key, value));
                let low = |right: &Vec<Entry>| right.first().map(|(key, _)| key.clone());
                let split = right.and_then(|it| Some((low(&it)?, Arc::new(Node::Leaf(it)))));
                (None, split)
            }
        },
        Node::Branch(children) => {
            let at = child_of(children, &Probe::of(&key));
            let Some((_, child)) = children.get_mut(at) else { return (None, None) };
            let (old, split) = insert(child, key, value);
            let right = split.and_then(|split| insert_at(children, at + 1, split));
            let low = |right: &Vec<Child>| right.first().map(|(low, _)| low.clone());
            (old, right.and_then(|it| Some((low(&it)?, Arc::new(Node::Branch(it))))))
        }
    }
}

/// Inserts into a node, which is split if it is full.
fn insert_at<T>(items: &mut Vec<T>, at: usize, item: T) -> Option<Vec<T>> {
    let mut right = None;
    if items.len() >= FANOUT {
        // Where keys come in ascending order, what is behind will not be written to again.
        let middle = if at == items.len() { FANOUT - SPARSE / 2 } else { FANOUT / 2 };
        let mut tail = Vec::with_capacity(FANOUT - middle + GROWTH);
        tail.extend(items.drain(middle..));
        items.shrink_to(middle + if at <= middle { GROWTH } else { 0 });
        right = Some((middle, tail));
    }
    match &mut right {
        Some((middle, tail)) if at > *middle => push_at(tail, at - *middle, item),
        _ => push_at(items, at, item),
    }
    right.map(|(_, tail)| tail)
}

fn push_at<T>(items: &mut Vec<T>, at: usize, item: T) {
    if items.len() == items.capacity() {
        items.reserve_exact(GROWTH);
    }
    items.insert(at.min(items.len()), item);
}

fn remove(node: &mut Arc<Node>, key: &Probe<'_>) -> Option<Entry> {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => {
            let at = search(entries, key).ok()?;
            let removed = entries.remove(at);
            if entries.capacity() > entries.len() + 2 * GROWTH {
                entries.shrink_to(entries.len() + GROWTH);
            }
            Some(removed)
        }
        Node::Branch(children) => {
            let at = child_of(children, key);
            let removed = remove(&mut children.get_mut(at)?.1, key);
            join_sparse(children, at);
            removed
        }
    }
}

/// Takes away an empty child, and joins a sparse one to a neighbour.
fn join_sparse(children: &mut Vec<Child>, at: usize) {
    let len = |at: usize| children.get(at).map(|(_, child)| child.len());
    match len(at) {
        Some(0) => {
            children.remove(at);
            return;
        }
        Some(1..SPARSE) => {}
        _ => return,
    }
    let fits = |left: usize| match (len(left), len(left + 1)) {
        (Some(one), Some(other)) => one + other <= FANOUT / 2,
        _ => false,
    };
    let left = match at.checked_sub(1) {
        Some(before) if fits(before) => before,
        _ if fits(at) => at,
        _ => return,
    };
    let (low, right) = children.remove(left + 1);
    let Some((_, child)) = children.get_mut(left) else { return };
    match (Arc::make_mut(child), Arc::unwrap_or_clone(right)) {
        (Node::Leaf(entries), Node::Leaf(more)) => entries.extend(more),
        (Node::Branch(children), Node::Branch(mut more)) => {
            // What the first child had as its key meant nothing.
            if let Some((first, _)) = more.first_mut() {
                *first = low;
            }
            children.extend(more);
        }
        // All leaves are equally deep.
        _ => {}
    }
}

/// Looks first where it found the last key: what was written in the order of the keys is served in
/// that order too.
#[derive(Clone, Debug)]
pub(crate) struct Finder<'a> {
    map: &'a EntryMap,
    leaf: &'a [Entry],
}

impl<'a> Finder<'a> {
    pub(crate) fn find(&mut self, key: &Key) -> Option<&'a VersionedValue> {
        let probe = Probe::of(key);
        let is_within = match self.leaf {
            [(first, _), .., (last, _)] => first <= key && key <= last,
            _ => false,
        };
        if !is_within {
            self.leaf = self.map.root.leaf_of(&probe);
        }
        let at = search(self.leaf, &probe).ok()?;
        self.leaf.get(at).map(|(_, value)| value)
    }
}

/// Entries in ascending order.
#[derive(Clone, Debug)]
pub(crate) struct Iter<'a> {
    /// What is left to visit of the branches above the leaf, the root first.
    branches: Vec<std::slice::Iter<'a, Child>>,
    leaf: std::slice::Iter<'a, Entry>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a Key, &'a VersionedValue);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.leaf.next() {
                return Some((key, value));
            }
            let (_, child) = loop {
                match self.branches.last_mut()?.next() {
                    Some(child) => break child,
                    None => self.branches.pop(),
                };
            };
            let mut node = &**child;
            while let Node::Branch(children) = node {
                let mut rest = children.iter();
                let (_, child) = rest.next()?;
                self.branches.push(rest);
                node = child;
            }
            if let Node::Leaf(entries) = node {
                self.leaf = entries.iter();
            }
        }
    }
}

#[cfg(test)]
mod tests;

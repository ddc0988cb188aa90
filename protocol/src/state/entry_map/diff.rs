//! What two maps do not have in common, at the cost of the difference.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Entry, EntryMap, Node};
use crate::state::key::Key;
use crate::state::value::VersionedValue;

/// A key that two maps do not have the same value of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Difference<'a> {
    pub(crate) key: &'a Key,
    pub(crate) before: Option<&'a VersionedValue>,
    pub(crate) after: Option<&'a VersionedValue>,
}

impl EntryMap {
    /// The differences, in key order. Nodes that both maps share are not visited.
    pub(crate) fn diff<'a>(
        &'a self,
        after: &'a EntryMap,
    ) -> impl Iterator<Item = Difference<'a>> + use<'a> {
        let (before, after) = unshared(&self.root, &after.root);
        let mut before = before.into_iter().flatten().peekable();
        let mut after = after.into_iter().flatten().peekable();
        let pairs = std::iter::from_fn(move || {
            let order = match (before.peek(), after.peek()) {
                (Some((one, _)), Some((other, _))) => one.cmp(other),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return None,
            };
            let old = if order.is_le() { before.next() } else { None };
            let new = if order.is_ge() { after.next() } else { None };
            let (key, _) = old.or(new)?;
            let value = |entry: &'a Entry| &entry.1;
            Some(Difference { key, before: old.map(value), after: new.map(value) })
        });
        pairs.filter(|pair| pair.before != pair.after)
    }
}

/// The leaves of each tree that the other one does not have, in order.
fn unshared<'a>(
    before: &'a Arc<Node>,
    after: &'a Arc<Node>,
) -> (Vec<&'a [Entry]>, Vec<&'a [Entry]>) {
    let mut before = vec![before];
    let mut after = vec![after];
    // Level by level, those of one height against each other: a node of one tree can be anywhere in
    // the other, but only at its own height.
    let (mut before_height, mut after_height) = (height(&before), height(&after));
    loop {
        if before_height == after_height {
            remove_common(&mut before, &mut after);
            if before_height == 0 {
                break;
            }
        }
        let deepest = before_height.max(after_height);
        if before_height == deepest {
            before = children_of(&before);
            before_height -= 1;
        }
        if after_height == deepest {
            after = children_of(&after);
            after_height -= 1;
        }
    }
    (entries_of(&before), entries_of(&after))
}

/// Drops from two ordered lists the nodes that stand in both.
fn remove_common<'a>(before: &mut Vec<&'a Arc<Node>>, after: &mut Vec<&'a Arc<Node>>) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    while let (Some(one), Some(other)) = (old.peek(), new.peek()) {
        if Arc::ptr_eq(one, other) {
            old.next();
            new.next();
            continue;
        }
        // What both have begins with the same key in both, and no two nodes of one tree begin with
        // the same key.
        let order = first_key(one).cmp(&first_key(other));
        if order.is_le() {
            left.extend(old.next().copied());
        }
        if order.is_ge() {
            right.extend(new.next().copied());
        }
    }
    left.extend(old.copied());
    right.extend(new.copied());
    (*before, *after) = (left, right);
}

fn first_key(node: &Node) -> Option<&Key> {
    let mut node = node;
    loop {
        match node {
            Node::Leaf(entries) => return entries.first().map(|(key, _)| key),
            Node::Branch(children) => node = &children.first()?.1,
        }
    }
}

/// Levels below these nodes.
fn height(nodes: &[&Arc<Node>]) -> usize {
    let mut height = 0;
    let mut node = nodes.first().copied();
    while let Some(Node::Branch(children)) = node.map(|node| &**node) {
        height += 1;
        node = children.first().map(|(_, child)| child);
    }
    height
}

fn children_of<'a>(nodes: &[&'a Arc<Node>]) -> Vec<&'a Arc<Node>> {
    let children = |node: &&'a Arc<Node>| match &***node {
        Node::Branch(children) => children.iter(),
        Node::Leaf(_) => [].iter(),
    };
    nodes.iter().flat_map(children).map(|(_, child)| child).collect()
}

fn entries_of<'a>(nodes: &[&'a Arc<Node>]) -> Vec<&'a [Entry]> {
    let entries = |node: &&'a Arc<Node>| match &***node {
        Node::Leaf(entries) => Some(&entries[..]),
        Node::Branch(_) => None,
    };
    nodes.iter().filter_map(entries).collect()
}

//! The keys of the entries by version.

use std::collections::BTreeMap;

use crate::state::key::Key;

/// Most keys of a chunk.
const CHUNK: usize = 64;

/// Which key has which version.
///
/// Versions are appended in order and go one by one: sorted chunks, which are full where nothing
/// was overwritten yet, take little more than what is in them, where the nodes of a B-tree that is
/// filled in order are half empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct VersionIndex {
    /// By a version that is not above any in the chunk, and above all in the chunks before.
    chunks: BTreeMap<u64, Vec<(u64, Key)>>,
    /// The chunk behind these, and the only one of a small state. Empty only if all is.
    last: Vec<(u64, Key)>,
    len: usize,
}

impl VersionIndex {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, version: u64) -> Option<&Key> {
        let chunk = if self.is_in_last(version) {
            &self.last
        } else {
            self.chunks.range(..=version).next_back()?.1
        };
        let at = position(chunk, version).ok()?;
        chunk.get(at).map(|(_, key)| key)
    }

    /// Keys with versions in `(from, to]`, ascending.
    pub(crate) fn range(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, &Key)> {
        let start = self.chunks.range(..=from).next_back().map_or(from, |(start, _)| *start);
        let chunks = (from < to).then(|| self.chunks.range(start..));
        let last = (from < to).then_some(&self.last);
        chunks
            .into_iter()
            .flatten()
            .map(|(_, chunk)| chunk)
            .chain(last)
            .flat_map(move |chunk| {
                let skip = chunk.partition_point(|(version, _)| *version <= from);
                chunk.get(skip..).unwrap_or_default()
            })
            .take_while(move |(version, _)| *version <= to)
            .map(|(version, key)| (*version, key))
    }

    fn is_in_last(&self, version: u64) -> bool {
        self.last.first().is_some_and(|(first, _)| *first <= version)
    }

    pub(crate) fn insert(&mut self, version: u64, key: Key) {
        let is_first = self.chunks.is_empty() && self.last.len() < CHUNK;
        if is_first || self.is_in_last(version) {
            let Some(rest) = insert(&mut self.last, version, key, &mut self.len) else { return };
            let full = std::mem::replace(&mut self.last, rest);
            if let Some((start, _)) = full.first() {
                self.chunks.insert(*start, full);
            }
            return;
        }
        let Some((_, chunk)) = self.chunks.range_mut(..=version).next_back() else {
            self.chunks.insert(version, vec![(version, key)]);
            self.len += 1;
            return;
        };
        if let Some(rest) = insert(chunk, version, key, &mut self.len)
            && let Some((start, _)) = rest.first()
        {
            self.chunks.insert(*start, rest);
        }
    }

    pub(crate) fn remove(&mut self, version: u64) -> Option<Key> {
        let last = self.is_in_last(version);
        let (start, chunk) = if last {
            (version, &mut self.last)
        } else {
            let (start, chunk) = self.chunks.range_mut(..=version).next_back()?;
            (*start, chunk)
        };
        let at = position(chunk, version).ok()?;
        let (_, key) = chunk.remove(at);
        self.len -= 1;
        // Not at every step: the log of a key that is written again and again leaves one behind the
        // other.
        if chunk.len() <= CHUNK / 4 {
            if last {
                self.join_last();
            } else {
                self.join(start);
            }
        }
        Some(key)
    }

    /// Joins a sparse chunk to the one before it, if that has room.
    fn join(&mut self, start: u64) {
        let Some(mut chunk) = self.chunks.remove(&start) else { return };
        if chunk.is_empty() {
            return;
        }
        match self.chunks.range_mut(..start).next_back() {
            Some((_, before)) if before.len() + chunk.len() <= CHUNK / 2 => {
                before.append(&mut chunk);
            }
            _ => {
                chunk.shrink_to(chunk.len() * 2);
                self.chunks.insert(start, chunk);
            }
        }
    }

    /// As [`VersionIndex::join`], for the last one.
    fn join_last(&mut self) {
        let before = self.chunks.last_entry();
        let room = CHUNK / 2;
        match before.filter(|it| self.last.is_empty() || it.get().len() + self.last.len() <= room) {
            Some(before) => {
                let mut chunk = before.remove();
                chunk.append(&mut self.last);
                self.last = chunk;
            }
            None => self.last.shrink_to(self.last.len() * 2),
        }
    }
}

/// Where a version is in a chunk, or would be.
fn position(chunk: &[(u64, Key)], version: u64) -> Result<usize, usize> {
    chunk.binary_search_by_key(&version, |(version, _)| *version)
}

/// Puts a key into a chunk, and counts it if the version is new. What is then behind the chunk, if it was
/// full, begins a new one.
fn insert(
    chunk: &mut Vec<(u64, Key)>,
    version: u64,
    key: Key,
    len: &mut usize,
) -> Option<Vec<(u64, Key)>> {
    let at = match position(chunk, version) {
        Ok(at) => {
            if let Some(slot) = chunk.get_mut(at) {
                slot.1 = key;
            }
            return None;
        }
        Err(at) => at,
    };
    *len += 1;
    if chunk.len() < CHUNK {
        chunk.insert(at, (version, key));
        return None;
    }
    if at == CHUNK {
        return Some(vec![(version, key)]);
    }
    let mut rest = chunk.split_off(CHUNK / 2);
    match at.checked_sub(CHUNK / 2) {
        Some(at) if at > 0 => rest.insert(at, (version, key)),
        _ => chunk.insert(at, (version, key)),
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn any_changes_give_what_a_plain_map_gives() {
        for seed in 0..40 {
            let mut rng = SmallRng::seed_from_u64(seed);
            let mut index = VersionIndex::default();
            let mut model = BTreeMap::new();
            for step in 0..4_000_u64 {
                let version = if seed % 2 == 0 { step } else { rng.random_range(0..2_000) };
                let key = Key::new(&step.to_string());
                if rng.random_bool(0.6) {
                    index.insert(version, key.clone());
                    model.insert(version, key);
                } else {
                    let old = rng.random_range(0..=version);
                    assert_eq!(index.remove(old), model.remove(&old));
                }
                assert_eq!(index.len(), model.len());
            }
            for _ in 0..50 {
                let (from, to) = (rng.random_range(0..4_000), rng.random_range(0..4_000));
                let expected: Vec<_> = if from < to {
                    model.range(from + 1..=to).map(|(version, key)| (*version, key)).collect()
                } else {
                    Vec::new()
                };
                assert_eq!(index.range(from, to).collect::<Vec<_>>(), expected);
                assert_eq!(index.get(from), model.get(&from));
            }
        }
    }

    #[test]
    fn one_key_written_again_and_again_leaves_no_empty_chunks() {
        let mut index = VersionIndex::default();
        for version in 1..100_000 {
            index.insert(version, Key::new("k"));
            index.remove(version.saturating_sub(3));
        }
        assert_eq!(index.len(), 3);
        assert!(index.chunks.len() <= 3, "{}", index.chunks.len());
    }
}

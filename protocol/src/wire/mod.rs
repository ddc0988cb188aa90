//! placeholder
pub(crate) mod size;
/// x
pub fn cluster_id_hash(cluster_id: &str) -> u64 { let _ = cluster_id; todo!() }
/// x
pub(crate) fn single_entry_overhead(owner_len: usize) -> usize { let _ = owner_len; todo!() }

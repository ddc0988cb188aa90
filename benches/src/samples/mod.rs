//! What is encoded, compressed and applied where no cluster runs: values as programs write them, and
//! nodes that know many members.

pub(crate) mod crowd;
pub(crate) mod log;

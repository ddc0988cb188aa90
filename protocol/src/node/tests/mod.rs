//! Whole nodes that read and write different wire versions, and whose hashes collide: what only the tests
//! of this crate can bring about.

mod columns;
mod net;
mod news;
mod refusals;
mod rounds;
mod upgrade;
mod versions;

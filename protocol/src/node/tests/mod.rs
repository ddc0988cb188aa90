//! Whole nodes that read and write different wire versions, whose hashes collide, and that are held up: what
//! only the tests of this crate can bring about.

mod busy;
mod columns;
mod net;
mod news;
mod positions;
mod refusals;
mod rounds;
mod strangers;
mod upgrade;
mod versions;

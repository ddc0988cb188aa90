//! See `chitchat_fuzz::deltas`.
#![cfg_attr(fuzzing, no_main)]

chitchat_fuzz::target!(deltas);

//! See `chitchat_fuzz::node_sequence`.
#![cfg_attr(fuzzing, no_main)]

chitchat_fuzz::target!(node_sequence);

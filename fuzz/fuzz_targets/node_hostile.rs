//! See `chitchat_fuzz::node_hostile`.
#![cfg_attr(fuzzing, no_main)]

chitchat_fuzz::target!(node_hostile);

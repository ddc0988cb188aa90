//! See `chitchat_fuzz::wire_decode`.
#![cfg_attr(fuzzing, no_main)]

chitchat_fuzz::target!(wire_decode);

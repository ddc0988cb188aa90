//! See `chitchat_fuzz::san`.
#![cfg_attr(fuzzing, no_main)]

chitchat_fuzz::target!(san);

//! See `chitchat_fuzz::tcp_framing`.
#![cfg_attr(fuzzing, no_main)]

chitchat_fuzz::target!(tcp_framing);

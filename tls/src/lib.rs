//! Mutual TLS for chitchat.

//! QUIC transport for chitchat.

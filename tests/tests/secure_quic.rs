//! QUIC stands what every secure transport has to.

mod secure;

use chitchat_tests::net::Quic;

secure_suite!(Quic);

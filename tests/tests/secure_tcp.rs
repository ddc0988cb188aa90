//! TCP with mutual TLS stands what every secure transport has to.

mod secure;

use chitchat_tests::net::TlsTcp;

secure_suite!(TlsTcp);

//! Reaching a peer: its addresses are tried one after the other, each without waiting for the one
//! before it to fail (Happy Eyeballs, RFC 8305).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use chitchat_transport::AddressFamily;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long the next address waits for the one before it (RFC 8305, section 8, recommends this).
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// Tries addresses until one leads to the peer. Those that lose are dropped; `failed` is told of
/// those that failed by themselves.
pub async fn race<T, E, F>(
    addrs: Vec<SocketAddr>,
    attempt: impl Fn(SocketAddr) -> F,
    mut failed: impl FnMut(SocketAddr, E),
) -> Option<T>
where
    T: Send + 'static,
    E: Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    let mut left = interleaved(addrs);
    let mut attempts = JoinSet::new();
    loop {
        if let Some(addr) = left.pop_front() {
            let attempt = attempt(addr);
            attempts.spawn(async move { (addr, attempt.await) });
        }
        let ended = tokio::select! {
            ended = attempts.join_next() => ended?,
            () = sleep(NEXT_AFTER), if !left.is_empty() => continue,
        };
        match ended {
            Ok((_, Ok(reached))) => return Some(reached),
            Ok((addr, Err(error))) => failed(addr, error),
            // It panicked, which is reported where it did.
            Err(_) => {}
        }
        if left.is_empty() && attempts.is_empty() {
            return None;
        }
    }
}

/// Alternates between the families, IPv6 first (RFC 8305, section 4).
fn interleaved(addrs: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let is_v6 = |addr: &SocketAddr| AddressFamily::of(*addr) == AddressFamily::V6;
    let (v6, v4): (VecDeque<_>, VecDeque<_>) = addrs.into_iter().partition(is_v6);
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut order = VecDeque::new();
    loop {
        let before = order.len();
        order.extend(v6.next());
        order.extend(v4.next());
        if order.len() == before {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    const V4: &str = "192.0.2.1:1";
    const V6: &str = "[2001:db8::1]:1";

    fn addrs(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_ipv6_begins() {
        let order = interleaved(addrs(&[V4, "192.0.2.2:1", V6, "192.0.2.3:1"]));
        let order: Vec<String> = order.iter().map(ToString::to_string).collect();
        assert_eq!(order, [V6, V4, "192.0.2.2:1", "192.0.2.3:1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_does_not_answer_holds_the_next_one_up_for_a_quarter_of_a_second() {
        let start = Instant::now();
        let attempt = |addr: SocketAddr| async move {
            if addr.is_ipv6() { pending::<Result<SocketAddr, ()>>().await } else { Ok(addr) }
        };
        let reached = race(addrs(&[V4, V6]), attempt, |addr, ()| panic!("{addr}")).await;
        assert_eq!(reached, Some(V4.parse().unwrap()));
        assert_eq!(start.elapsed(), NEXT_AFTER);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_fails_holds_up_nothing_and_all_failures_are_told() {
        let start = Instant::now();
        let mut told = Vec::new();
        let attempt = |_| async { Err::<(), ()>(()) };
        let reached = race(addrs(&[V4, V6]), attempt, |addr, ()| told.push(addr)).await;
        assert_eq!(reached, None);
        assert_eq!(told, addrs(&[V6, V4]));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_address_wins_if_it_answers_before_the_second() {
        let attempt = |addr: SocketAddr| async move {
            let takes = if addr.is_ipv6() { 300 } else { 100 };
            sleep(Duration::from_millis(takes)).await;
            Ok::<_, ()>(addr)
        };
        let reached = race(addrs(&[V4, V6]), attempt, |addr, ()| panic!("{addr}")).await;
        assert_eq!(reached, Some(V6.parse().unwrap()));
    }
}

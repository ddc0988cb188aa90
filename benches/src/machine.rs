//! What the process uses of the machine.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

fn time_of(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let (secs, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    Duration::from_secs(secs) + Duration::from_nanos(nanos)
}

/// Processor time of all threads so far.
pub(crate) fn cpu_time() -> Duration {
    time_of(ClockId::ProcessCPUTime)
}

/// Processor time of this thread so far.
pub(crate) fn thread_time() -> Duration {
    time_of(ClockId::ThreadCPUTime)
}

/// Memory that is resident now, in bytes; 0 where the operating system does not say it as Linux
/// does.
pub(crate) fn resident() -> u64 {
    status("VmRSS:").unwrap_or(0)
}

/// The most that was resident since the start or [`forget_peak`], in bytes; 0 as above.
pub(crate) fn peak_resident() -> u64 {
    status("VmHWM:").unwrap_or(0)
}

/// From now on the peak is counted anew, where that is possible.
pub(crate) fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn status(name: &str) -> Option<u64> {
    field(&std::fs::read_to_string("/proc/self/status").ok()?, name)
}

/// A field of /proc/self/status that is in KiB, in bytes.
fn field(status: &str, name: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1_024)
}

/// What went over the loopback device, headers of IP and UDP included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loopback {
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
}

impl Loopback {
    /// Since the device exists.
    pub(crate) fn now() -> Option<Loopback> {
        Loopback::parse(&std::fs::read_to_string("/proc/net/dev").ok()?)
    }

    fn parse(devices: &str) -> Option<Loopback> {
        let line = devices.lines().find_map(|line| line.trim_start().strip_prefix("lo:"))?;
        // Eight figures of what came in, then those of what went out.
        let mut sent = line.split_whitespace().skip(8).map(str::parse);
        Some(Loopback { bytes: sent.next()?.ok()?, packets: sent.next()?.ok()? })
    }

    pub(crate) fn since(self, before: Loopback) -> Loopback {
        Loopback { bytes: self.bytes - before.bytes, packets: self.packets - before.packets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_out_is_read_and_not_what_came_in() {
        let devices = "Inter-|   Receive                            |  Transmit\n \
                       face |bytes    packets errs drop fifo frame compressed multicast|bytes    \
                       packets errs drop fifo colls carrier compressed\n    \
                       eth0: 1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n    \
                       lo:     500       6    0    0    0     0          0         0  700 8 0 0 0 0 0 0\n";
        assert_eq!(Loopback::parse(devices), Some(Loopback { bytes: 700, packets: 8 }));
        assert_eq!(Loopback::parse("eth0: 1 2"), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "VmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t1\n";
        assert_eq!(field(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(field(status, "VmHWM:"), Some(2 << 20));
        assert_eq!(field(status, "Threads:"), None);
    }
}

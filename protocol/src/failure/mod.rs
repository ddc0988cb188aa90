//! placeholder
use std::time::Duration;
pub(crate) fn calm_timeout(_t: Duration, _phi: f64) -> Duration { todo!() }

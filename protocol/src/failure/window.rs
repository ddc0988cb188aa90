//! What is learnt of one peer's heartbeats: a mean and a variance in 12 bytes.

use std::time::Duration;

/// Exponentially weighted mean and variance of the time between signs of life (Welford's update
/// with a constant weight; Finch, "Incremental calculation of weighted mean and variance", 2009).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Seconds.
    mean: f32,
    /// Seconds squared.
    variance: f32,
    samples: u8,
}

impl Window {
    /// The prior: what is assumed of a peer that was just heard of. Two intervals on average; more
    /// would show dead nodes as live to joiners.
    pub(crate) fn prior(interval: Duration) -> Window {
        let interval = interval.as_secs_f32();
        Window { mean: 2.0 * interval, variance: (interval / 2.0).powi(2), samples: 0 }
    }

    /// Learns one interval. Early samples weigh more, so that the prior is soon forgotten.
    pub(crate) fn sample(&mut self, interval: Duration) {
        let weight = (1.0 / 32.0_f32).max(1.0 / (f32::from(self.samples) + 5.0));
        let difference = interval.as_secs_f32() - self.mean;
        let increment = weight * difference;
        self.mean += increment;
        self.variance = (1.0 - weight) * (self.variance + difference * increment);
        self.samples = self.samples.saturating_add(1);
    }

    /// Seconds.
    pub(crate) fn mean(&self) -> f32 {
        self.mean
    }

    /// Seconds.
    pub(crate) fn deviation(&self) -> f32 {
        self.variance.max(0.0).sqrt()
    }
}

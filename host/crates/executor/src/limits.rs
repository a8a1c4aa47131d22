//! The memory and tables of one step, counted over all its modules together.

use std::time::Duration;

use stepwright_workflow::StepLimits;
use wasmtime::ResourceLimiter;

use crate::engine::EngineOptions;
use crate::grants::PluginLimits;

/// What one attempt may use: the template's limits where it has any, the engine's otherwise, and never more than fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Linear memory in bytes.
    pub(crate) memory_bytes: u64,
    /// Table elements.
    pub(crate) table_elements: u64,
    /// CPU time.
    pub(crate) cpu: Duration,
    /// Wall clock.
    pub(crate) wall: Duration,
    /// The output's JSON text in bytes.
    pub(crate) output_bytes: u64,
}

impl Limits {
    pub(crate) fn of(options: &EngineOptions, wanted: &StepLimits, wall: Duration) -> Self {
        Self::granted(options, wanted, &PluginLimits::default(), wall)
    }

    /// The same for a plugin whose grants have limits: they stand in for the engine's, and bound the template's.
    pub(crate) fn granted(
        options: &EngineOptions,
        wanted: &StepLimits,
        plugin: &PluginLimits,
        wall: Duration,
    ) -> Self {
        let memory = lower(wanted.memory_bytes_max, plugin.memory_bytes_max, options.memory_bytes_max);
        let output = lower(wanted.output_bytes_max, plugin.output_bytes_max, options.output_bytes_max);
        let wanted_cpu = wanted.cpu_ms_max.map(Duration::from_millis);
        Self {
            memory_bytes: memory.min(options.memory_bytes_ceiling),
            table_elements: u64::from(options.table_elements_max),
            cpu: lower(wanted_cpu, plugin.cpu_max, options.cpu_max),
            wall,
            output_bytes: output.min(options.transfer_bytes_max as u64),
        }
    }
}

fn lower<T: Ord>(wanted: Option<T>, granted: Option<T>, usual: T) -> T {
    match (wanted, granted) {
        (Some(wanted), Some(granted)) => wanted.min(granted),
        (wanted, granted) => wanted.or(granted).unwrap_or(usual),
    }
}

/// A limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit {
    /// The limit's name, as it stands in a failure's code.
    pub(crate) limit: &'static str,
    /// Its value.
    pub(crate) max: u64,
    /// What was in use when more was wanted.
    pub(crate) used: u64,
    /// How much more was wanted.
    pub(crate) wanted: u64,
}

/// Sums what a store holds. wasmtime's own limiter looks at each memory by itself.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory: Account,
    table: Account,
    hit: Option<Hit>,
}

#[derive(Debug)]
struct Account {
    limit: &'static str,
    max: u64,
    used: u64,
    peak: u64,
    last: u64,
}

impl Account {
    fn new(limit: &'static str, max: u64) -> Self {
        Self { limit, max, used: 0, peak: 0, last: 0 }
    }

    /// Adds what is wanted and says whether it fits; notes the limit that stands in the way.
    ///
    /// `maximum` is the module's own bound, or the pool's. A growth beyond the module's own is the module's affair: wasmtime
    /// refuses it without our help.
    fn may_grow(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
        hit: &mut Option<Hit>,
    ) -> bool {
        let wanted = desired.saturating_sub(current) as u64;
        let total = self.used.saturating_add(wanted);
        if total <= self.max {
            self.used = total;
            self.peak = self.peak.max(total);
            self.last = wanted;
            return true;
        }
        let own_bound = maximum.is_some_and(|maximum| desired > maximum && (maximum as u64) < self.max);
        if !own_bound {
            *hit = Some(Hit { limit: self.limit, max: self.max, used: self.used, wanted });
        }
        false
    }

    fn take_back(&mut self) {
        self.used = self.used.saturating_sub(self.last);
        self.last = 0;
    }
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory: Account::new("memory_bytes", limits.memory_bytes),
            table: Account::new("table_elements", limits.table_elements),
            hit: None,
        }
    }

    /// The most memory in bytes that was held at a time.
    pub(crate) fn memory_bytes_peak(&self) -> u64 {
        self.memory.peak
    }

    /// The last limit that stopped a growth. A guest may have coped with it.
    pub(crate) fn hit(&self) -> Option<Hit> {
        self.hit
    }
}

/// A growth that is refused gives -1 in the guest, which may free something and go on; most abort.
impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.memory.may_grow(current, desired, maximum, &mut self.hit))
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        tracing::debug!("a memory could not grow: {error:#}");
        self.memory.take_back();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.table.may_grow(current, desired, maximum, &mut self.hit))
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        tracing::debug!("a table could not grow: {error:#}");
        self.table.take_back();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(memory_bytes: u64) -> Limits {
        let wanted = StepLimits { memory_bytes_max: Some(memory_bytes), ..StepLimits::default() };
        Limits::of(&EngineOptions::default(), &wanted, Duration::from_secs(1))
    }

    #[test]
    fn memories_are_summed_and_the_limit_is_named() {
        let mut limiter = Limiter::new(&limits(300));
        assert!(limiter.memory_growing(0, 100, None).unwrap());
        assert!(limiter.memory_growing(0, 100, None).unwrap());
        assert!(limiter.memory_growing(100, 200, None).unwrap());
        assert!(!limiter.memory_growing(100, 150, None).unwrap());
        assert_eq!(limiter.memory_bytes_peak(), 300);
        assert_eq!(limiter.hit(), Some(Hit { limit: "memory_bytes", max: 300, used: 300, wanted: 50 }));
    }

    #[test]
    fn a_growth_that_failed_is_taken_back() {
        let mut limiter = Limiter::new(&limits(300));
        assert!(limiter.memory_growing(0, 200, None).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        assert!(limiter.memory_growing(0, 300, None).unwrap());
        assert_eq!(limiter.hit(), None);
    }

    #[test]
    fn a_templates_limit_is_clamped_to_what_fits() {
        let options = EngineOptions::default();
        assert_eq!(limits(u64::MAX).memory_bytes, options.memory_bytes_ceiling);
        assert_eq!(limits(1).memory_bytes, 1);
        let usual = Limits::of(&options, &StepLimits::default(), Duration::from_secs(1));
        assert_eq!((usual.memory_bytes, usual.cpu), (64 << 20, Duration::from_secs(10)));
    }

    #[test]
    fn a_plugins_limit_replaces_the_usual_one_and_bounds_the_templates() {
        let of = |wanted, granted| {
            let wanted = StepLimits { memory_bytes_max: wanted, ..StepLimits::default() };
            let granted = PluginLimits { memory_bytes_max: granted, ..PluginLimits::default() };
            Limits::granted(&EngineOptions::default(), &wanted, &granted, Duration::from_secs(1)).memory_bytes
        };
        assert_eq!((of(None, Some(128 << 20)), of(None, Some(1 << 20))), (128 << 20, 1 << 20));
        assert_eq!((of(Some(5), Some(7)), of(Some(7), Some(5)), of(Some(7), None)), (5, 5, 7));
    }
}

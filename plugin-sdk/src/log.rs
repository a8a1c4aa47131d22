//! Lines for the step's log: the levels and the macros that write them.

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every little thing.
    Trace,
    /// For whoever looks for a mistake.
    Debug,
    /// What happened.
    Info,
    /// What should not have happened but did no harm.
    Warn,
    /// What went wrong.
    Error,
}

/// Writes a line at level trace: see [`info!`](crate::info).
#[macro_export]
macro_rules! trace {
    ($ctx:expr, $($rest:tt)+) => { $crate::__log!($ctx, $crate::Level::Trace, $($rest)+) };
}

/// Writes a line at level debug: see [`info!`](crate::info).
#[macro_export]
macro_rules! debug {
    ($ctx:expr, $($rest:tt)+) => { $crate::__log!($ctx, $crate::Level::Debug, $($rest)+) };
}

/// Writes a line to the step's log: a message as for `format!`, then, after a `;`, fields for programs.
///
/// ```
/// # use stepwright_sdk::prelude::*;
/// # fn charge(ctx: &Context, cents: u64) {
/// info!(ctx, "charged the card");
/// info!(ctx, "charged {cents} cents at attempt {}", ctx.attempt(); cents = cents, currency = "EUR");
/// # }
/// ```
#[macro_export]
macro_rules! info {
    ($ctx:expr, $($rest:tt)+) => { $crate::__log!($ctx, $crate::Level::Info, $($rest)+) };
}

/// Writes a line at level warn: see [`info!`](crate::info).
#[macro_export]
macro_rules! warn {
    ($ctx:expr, $($rest:tt)+) => { $crate::__log!($ctx, $crate::Level::Warn, $($rest)+) };
}

/// Writes a line at level error: see [`info!`](crate::info).
#[macro_export]
macro_rules! error {
    ($ctx:expr, $($rest:tt)+) => { $crate::__log!($ctx, $crate::Level::Error, $($rest)+) };
}

/// What the five above share.
#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($ctx:expr, $level:expr, $format:literal $(, $argument:expr)* $(; $($key:ident = $value:expr),+)? $(,)?) => {
        $ctx.log(
            $level,
            &::std::format!($format $(, $argument)*),
            &[$($((::core::stringify!($key), ::std::string::ToString::to_string(&$value))),+)?],
        )
    };
}

//! Steps at which tests end the process, to see what a crash between any two of them leaves behind. Only builds with the
//! feature `crash-points`, which only tests turn on, have anything of it.

/// Ends the process here if `RESERVEFLOW_CRASH_AT` names this step and pass: `reserve:made:1`.
#[macro_export]
macro_rules! crash_point {
    ($name:literal) => {
        #[cfg(feature = "crash-points")]
        $crate::crash_point::pass($name);
    };
}

/// Every step, in the order of a booking, with how often a dialogue of nine calls that books with the last passes it.
#[cfg(feature = "crash-points")]
pub const STEPS: &[(&str, u32)] = &[
    ("turn:glanced", 8),
    ("turn:advanced", 8),
    ("turn:claimed", 1),
    ("reserve:asked", 1),
    ("reserve:made", 1),
    ("turn:worked", 1),
    ("turn:committed", 1),
    ("outbox:claimed", 1),
    ("outbox:sent", 1),
];

/// Every step of money, with how often a payment, a second one and its refund pass it.
#[cfg(feature = "crash-points")]
pub const MONEY_STEPS: &[(&str, u32)] = &[
    ("pay:asked", 1),
    ("prompt:claimed", 1),
    ("prompt:answered", 1),
    ("prompt:stored", 1),
    ("callback:kept", 4),
    ("callback:applied", 4),
    ("query:answered", 1),
    ("payment:settled", 2),
    ("claim:asked", 1),
    ("claim:settled", 1),
    ("refund:claimed", 1),
    ("refund:answered", 1),
    ("refund:stored", 1),
    ("refund:told", 1),
];

/// Counts the passes of a step.
#[cfg(feature = "crash-points")]
pub fn pass(step: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Armed {
        step: String,
        passes_left: AtomicU32,
    }
    static ARMED: LazyLock<Option<Armed>> = LazyLock::new(|| {
        let armed = std::env::var("RESERVEFLOW_CRASH_AT").ok()?;
        let (step, pass) = armed.rsplit_once(':')?;
        Some(Armed {
            step: step.to_owned(),
            passes_left: AtomicU32::new(pass.parse().ok()?),
        })
    });
    if let Some(armed) = &*ARMED
        && armed.step == step
        && armed.passes_left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        std::process::abort();
    }
}

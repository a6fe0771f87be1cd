//! What this process uses of the machine, as `/proc` tells.

use std::time::Duration;

use procfs::process::{LimitValue, Process};
use procfs::{ProcResult, WithCurrentSystemInfo as _};

use crate::telemetry::names::Usage;

/// `None` where `/proc` is not there or is hidden.
pub(super) fn read() -> Option<Usage> {
    try_read().ok()
}

fn try_read() -> ProcResult<Usage> {
    let process = Process::myself()?;
    let stat = process.stat()?;
    let most_files = match process.limits()?.max_open_files.soft_limit {
        LimitValue::Unlimited => None,
        LimitValue::Value(files) => Some(files),
    };
    let ticks = stat.utime + stat.stime;
    Ok(Usage {
        cpu: Duration::from_millis(ticks.saturating_mul(1000) / procfs::ticks_per_second()),
        resident: stat.rss_bytes().get(),
        virtual_memory: stat.vsize,
        open_files: process.fd_count()? as u64,
        most_files,
        threads: u64::try_from(stat.num_threads).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::read;

    #[test]
    fn a_process_sees_itself() {
        let before = read().expect("/proc");
        let files: Vec<_> = (0..100).map(|_| File::open("/proc/self/stat").expect("a file")).collect();
        let after = read().expect("/proc");
        // Other tests of this process open and close files meanwhile, but not a hundred.
        assert!(after.open_files > before.open_files, "{before:?} {after:?}");
        assert!(after.resident > 1 << 20 && after.virtual_memory >= after.resident && after.threads > 0, "{after:?}");
        assert!(after.most_files.is_none_or(|most| most > 100) && after.cpu >= before.cpu, "{after:?}");
        drop(files);
    }
}

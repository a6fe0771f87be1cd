//! Memory: what a process has for itself, and what the kernel has.

use std::fs;

use crate::{Fault, cpu};

/// Bytes of a page as `/proc/net/sockstat` counts them.
const PAGE: u64 = 4096;

/// What the kernel has for its objects: sockets, files, polls and requests are in slabs.
const KERNEL: [&str; 3] = ["Slab:", "PageTables:", "KernelStack:"];

/// Anonymous resident memory in bytes of process `pid` and those it has started, from `/proc/PID/smaps_rollup`.
pub fn anonymous(pid: u32) -> Result<u64, Fault> {
    cpu::family(pid).into_iter().try_fold(0, |sum, pid| {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        Ok(sum + kib(&rollup, "Anonymous:").ok_or("no Anonymous in smaps_rollup")? * 1024)
    })
}

/// Bytes that the kernel uses for all processes together, from `/proc/meminfo`, and those of received and sent bytes that
/// TCP holds, from `/proc/net/sockstat`.
pub fn kernel() -> Result<u64, Fault> {
    let meminfo = fs::read_to_string("/proc/meminfo")?;
    let objects: u64 = KERNEL.iter().filter_map(|name| kib(&meminfo, name)).sum();
    let sockets = fs::read_to_string("/proc/net/sockstat")?;
    let pages = tcp_pages(&sockets).ok_or("no memory of TCP in sockstat")?;
    Ok(objects * 1024 + pages * PAGE)
}

/// The value of a line such as `Slab:   1234 kB`.
fn kib(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.trim().trim_end_matches(" kB").parse().ok()
}

/// The value of `mem` in the line of TCP.
fn tcp_pages(sockstat: &str) -> Option<u64> {
    let mut words = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"))?.split_ascii_whitespace();
    words.find(|word| *word == "mem")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{kib, tcp_pages};

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(kib("MemFree: 1 kB\nSlab:            39128 kB\n", "Slab:"), Some(39128));
        assert_eq!(tcp_pages("sockets: used 47\nTCP: inuse 8 orphan 0 tw 3 alloc 9 mem 17\n"), Some(17));
    }
}

//! What the control groups of this process let it use of CPU and memory.
//!
//! A limit of any group above counts as well, as far as it can be seen from here: a container often sees its own group
//! alone, as the root.

use std::fs;
use std::path::{Path, PathBuf};

use procfs::ProcessCGroup;
use procfs::process::{MountInfo, Process};

use crate::bytesize::ByteSize;

/// Where there is no limit, version 1 shows the largest number of whole pages. Nobody has half as much.
const NO_LIMIT: u64 = 1 << 62;

/// The tightest limits; `None`: no limit, or none that can be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::app) struct Limits {
    /// CPU time in a time: 1.5 cores.
    pub(super) cpus: Option<f64>,
    /// Memory.
    pub(super) memory: Option<ByteSize>,
}

/// Those of this process.
pub(super) fn limits() -> Limits {
    let Ok(process) = Process::myself() else { return Limits::default() };
    let (Ok(groups), Ok(mounts)) = (process.cgroups(), process.mountinfo()) else { return Limits::default() };
    find(&groups.0, &mounts.0, |file| fs::read_to_string(file).ok())
}

/// Those of a process in these groups, with what `read` finds in a file. Knows versions 1 and 2, also both at once.
fn find(groups: &[ProcessCGroup], mounts: &[MountInfo], read: impl Fn(&Path) -> Option<String>) -> Limits {
    let (mut cpus, mut memory) = (Vec::new(), Vec::new());
    for group in groups {
        let has = |controller: &str| group.controllers.iter().any(|known| known == controller);
        for directory in directories(group, mounts) {
            let file = |name: &str| read(&directory.join(name));
            if group.hierarchy == 0 {
                cpus.extend(file("cpu.max").and_then(|text| quota(&text)));
                memory.extend(file("memory.max").and_then(|text| bytes(&text)));
            }
            if has("cpu") {
                let [quota, period] = ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map(file);
                let both = quota.zip(period).map(|(quota, period)| format!("{} {}", quota.trim(), period.trim()));
                cpus.extend(both.and_then(|text| self::quota(&text)));
            }
            if has("memory") {
                memory.extend(file("memory.limit_in_bytes").and_then(|text| bytes(&text)));
            }
        }
    }
    Limits { cpus: cpus.into_iter().reduce(f64::min), memory: memory.into_iter().min().map(ByteSize::bytes) }
}

/// The directory of `group` and those above it, up to where its hierarchy is mounted.
fn directories(group: &ProcessCGroup, mounts: &[MountInfo]) -> Vec<PathBuf> {
    let is_mounted = |mount: &&MountInfo| match group.controllers.first() {
        None => mount.fs_type == "cgroup2",
        Some(controller) => mount.fs_type == "cgroup" && mount.super_options.contains_key(controller),
    };
    let Some(mount) = mounts.iter().find(is_mounted) else { return Vec::new() };
    // A mount may show a part of the hierarchy, and a group may lie outside of it: then the top is what can be seen.
    let below = Path::new(&group.pathname).strip_prefix(&mount.root).unwrap_or(Path::new(""));
    let directory = mount.mount_point.join(below);
    directory.ancestors().take_while(|above| above.starts_with(&mount.mount_point)).map(PathBuf::from).collect()
}

/// Cores from microseconds per period: `150000 100000`, where the first may be `max`, or -1 in version 1.
fn quota(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period) = (quota.parse::<u32>().ok()?, period.parse::<u32>().ok()?);
    (period > 0).then(|| f64::from(quota) / f64::from(period))
}

/// A number of bytes, or `max` in version 2.
fn bytes(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < NO_LIMIT)
}

#[cfg(test)]
mod tests {
    use procfs::ProcessCGroups;
    use procfs::prelude::FromBufRead as _;
    use procfs::process::MountInfos;

    use super::{Limits, find, limits};
    use crate::bytesize::ByteSize;

    /// The limits of a process for which `/proc` says this, with files of this contents.
    fn found(groups: &str, mounts: &str, files: &[(&str, &str)]) -> Limits {
        let groups = ProcessCGroups::from_buf_read(groups.as_bytes()).unwrap();
        let mounts = MountInfos::from_buf_read(mounts.as_bytes()).unwrap();
        let read = |file: &std::path::Path| {
            files.iter().find_map(|(name, text)| (file == std::path::Path::new(name)).then(|| (*text).to_owned()))
        };
        find(&groups.0, &mounts.0, read)
    }

    const V2: &str = "29 22 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw,nsdelegate";

    #[test]
    fn of_version_2_the_tightest_above_counts() {
        let files = [
            ("/sys/fs/cgroup/kubepods/pod1/app/cpu.max", "max 100000\n"),
            ("/sys/fs/cgroup/kubepods/pod1/app/memory.max", "268435456\n"),
            ("/sys/fs/cgroup/kubepods/pod1/cpu.max", "150000 100000\n"),
            ("/sys/fs/cgroup/kubepods/pod1/memory.max", "max\n"),
            ("/sys/fs/cgroup/kubepods/memory.max", "8589934592\n"),
        ];
        let limits = found("0::/kubepods/pod1/app\n", V2, &files);
        assert_eq!(limits, Limits { cpus: Some(1.5), memory: Some(ByteSize::mib(256)) });
    }

    #[test]
    fn a_container_may_see_its_own_group_as_the_root() {
        let files = [("/sys/fs/cgroup/memory.max", "1048576\n"), ("/sys/fs/cgroup/cpu.max", "50000 100000\n")];
        let limits = Limits { cpus: Some(0.5), memory: Some(ByteSize::mib(1)) };
        assert_eq!(found("0::/\n", V2, &files), limits);
        assert_eq!(found("0::/../outside\n", V2, &files), limits);
    }

    #[test]
    fn of_version_1_each_controller_has_a_hierarchy() {
        let mounts = "30 25 0:27 /docker/a /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
                      31 25 0:28 / /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n\
                      32 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let files = [
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/docker/a/cpu.cfs_quota_us", "200000\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/docker/a/cpu.cfs_period_us", "100000\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ];
        let groups = "4:memory:/docker/a\n1:cpu,cpuacct:/docker/a\n0::/docker/a\n";
        let limits = found(groups, mounts, &files);
        assert_eq!(limits, Limits { cpus: Some(2.0), memory: Some(ByteSize::mib(1024)) });
        let unlimited = [("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")];
        assert_eq!(found(groups, mounts, &unlimited), Limits::default());
    }

    #[test]
    fn what_cannot_be_read_is_no_limit() {
        assert_eq!(found("0::/\n", "", &[]), Limits::default());
        let odd = [("/sys/fs/cgroup/cpu.max", "100000 0\n"), ("/sys/fs/cgroup/memory.max", "much\n")];
        assert_eq!(found("0::/\n", V2, &odd), Limits::default());
        // Whatever this machine has: it is read without a fault.
        let here = limits();
        assert!(here.cpus.is_none_or(|cpus| cpus > 0.0), "{here:?}");
    }
}

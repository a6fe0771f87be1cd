//! What this host says about itself, as far as it decides whether there can be a ring.

use std::fs;

use rustix::process::{Resource, getrlimit};

/// `CAP_SYS_ADMIN` in a set of capabilities.
const SYS_ADMIN: u64 = 1 << 21;

/// What the host says. `None`: it does not say, as in a sandbox without that file, or on a kernel without that setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Kernel release: `6.18.44`.
    pub release: String,
    /// Its architecture: `x86_64`.
    pub machine: String,
    /// The sysctl `kernel.io_uring_disabled`, since Linux 6.6: at 1 a ring needs a privilege, at 2 nobody gets one.
    pub disabled: Option<u8>,
    /// The sysctl `kernel.io_uring_group`, whose members get rings at 1; `None`: no group.
    pub group: Option<u32>,
    /// Whether this process is in that group.
    pub in_group: bool,
    /// Whether this process has `CAP_SYS_ADMIN`.
    pub sys_admin: Option<bool>,
    /// What seccomp does to this process.
    pub seccomp: Option<Seccomp>,
    /// How many seccomp filters are on this process, since Linux 5.9.
    pub filters: Option<u32>,
    /// Whether this process and its children can gain no privilege.
    pub no_new_privileges: Option<bool>,
    /// Soft `RLIMIT_MEMLOCK` in bytes; `None`: no limit.
    pub memlock: Option<u64>,
}

/// What seccomp does to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seccomp {
    /// Nothing.
    Off,
    /// It allows four system calls.
    Strict,
    /// It asks filters.
    Filter,
}

impl Host {
    /// Looks at this host and this process.
    pub fn look() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let name = rustix::system::uname();
        let host = Self {
            release: name.release().to_string_lossy().into_owned(),
            machine: name.machine().to_string_lossy().into_owned(),
            disabled: read("/proc/sys/kernel/io_uring_disabled").trim().parse().ok(),
            group: read("/proc/sys/kernel/io_uring_group").trim().parse().ok(),
            in_group: false,
            sys_admin: None,
            seccomp: None,
            filters: None,
            no_new_privileges: None,
            memlock: getrlimit(Resource::Memlock).current,
        };
        host.with_status(&read("/proc/self/status"))
    }

    /// The same with what `/proc/self/status` says. Read line by line: `procfs` wants lines that sandboxes leave out, and
    /// does not know how many filters there are.
    fn with_status(self, status: &str) -> Self {
        let field = |name: &str| {
            let mut lines = status.lines().filter_map(|line| line.split_once(':'));
            lines.find_map(|(known, value)| (known == name).then_some(value.trim()))
        };
        let number = |name: &str| field(name)?.parse::<u32>().ok();
        // Of the four groups of a process, the effective one comes second.
        let effective = field("Gid").and_then(|groups| groups.split_whitespace().nth(1));
        let mut groups = effective.into_iter().chain(field("Groups").unwrap_or_default().split_whitespace());
        Self {
            in_group: self.group.is_some_and(|group| groups.any(|ours| ours.parse() == Ok(group))),
            sys_admin: field("CapEff")
                .and_then(|set| u64::from_str_radix(set, 16).ok())
                .map(|set| set & SYS_ADMIN != 0),
            seccomp: match number("Seccomp") {
                Some(0) => Some(Seccomp::Off),
                Some(1) => Some(Seccomp::Strict),
                Some(2) => Some(Seccomp::Filter),
                _ => None,
            },
            filters: number("Seccomp_filters"),
            no_new_privileges: number("NoNewPrivs").map(|set| set == 1),
            ..self
        }
    }

    /// Whether the sysctl lets this process have a ring.
    pub fn is_enabled(&self) -> bool {
        match self.disabled {
            None | Some(0) => true,
            Some(1) => self.in_group || self.sys_admin == Some(true),
            Some(_) => false,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Host, Seccomp};

    /// A kernel that allows everything, and a process without privileges.
    pub(in crate::ring) fn plain() -> Host {
        Host {
            release: "5.15.0".into(),
            machine: "x86_64".into(),
            disabled: Some(0),
            group: None,
            in_group: false,
            sys_admin: Some(false),
            seccomp: Some(Seccomp::Off),
            filters: Some(0),
            no_new_privileges: Some(false),
            memlock: Some(8 << 20),
        }
    }

    #[test]
    fn reads_the_lines_that_are_there() {
        let text = "Name:\tringside\nCapEff:\t0000000000200000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n";
        let host = plain().with_status(text);
        assert_eq!((host.seccomp, host.filters), (Some(Seccomp::Filter), Some(3)));
        assert_eq!((host.sys_admin, host.no_new_privileges), (Some(true), Some(true)));
        assert!(!host.in_group);
        let silent = plain().with_status("Name:\tringside\nSeccomp:\t0\n");
        assert_eq!((silent.seccomp, silent.filters), (Some(Seccomp::Off), None));
        assert_eq!((silent.sys_admin, silent.no_new_privileges), (None, None));
    }

    #[test]
    fn a_group_is_ours_by_any_way_to_be_in_it() {
        let in_group = |group| {
            let text = "Gid:\t1\t2\t3\t4\nGroups:\t50 60 \n";
            Host { group: Some(group), ..plain() }.with_status(text).in_group
        };
        assert_eq!([2, 50, 60, 1, 5].map(in_group), [true, true, true, false, false]);
    }

    #[test]
    fn the_sysctl_has_three_levels() {
        let enabled = |disabled, in_group, sys_admin| {
            Host { disabled, in_group, sys_admin: Some(sys_admin), ..plain() }.is_enabled()
        };
        assert!(enabled(None, false, false) && enabled(Some(0), false, false));
        assert!(!enabled(Some(1), false, false) && enabled(Some(1), true, false) && enabled(Some(1), false, true));
        assert!(!enabled(Some(2), true, true));
    }

    #[test]
    fn this_host_says_something() {
        let host = Host::look();
        assert!(host.release.starts_with(|c: char| c.is_ascii_digit()), "{host:?}");
        assert_eq!(host.machine, std::env::consts::ARCH);
    }
}

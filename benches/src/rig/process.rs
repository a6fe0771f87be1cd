//! Processes of a run: each on its cores, and gone when its owner is.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Fault, cpu};

/// A process that ends with its owner, and with this process, however that ends.
pub(super) struct Process(Child);

impl Process {
    /// Starts `command` on `cores`, a list as taskset takes it. What it prints goes to `log`.
    pub(super) fn start(command: &Command, cores: &str, log: &Path) -> Result<Self, Fault> {
        let log = File::create(log)?;
        let mut pinned = Command::new("taskset");
        pinned.args(["--cpu-list", cores, "setpriv", "--pdeathsig", "TERM"]);
        pinned.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            pinned.env(name, value.unwrap_or_default());
        }
        let child = pinned.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        Ok(Self(child.map_err(|error| format!("cannot run {pinned:?}: {error}"))?))
    }

    /// Its id, which the program keeps: what pins it becomes it.
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Those it has started come after it, so that it starts no other in their place.
        let family = cpu::family(self.pid());
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
        for child in family.into_iter().skip(1).filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
            let _ = kill_process(child, Signal::KILL);
        }
    }
}

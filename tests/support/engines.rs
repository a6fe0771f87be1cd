//! Each test runs on both engines.

use std::io::Write as _;
use std::sync::LazyLock;

use ringside::ring::probe;

/// An engine under test, by its name in the configuration.
pub(crate) type Engine = &'static str;

/// Whether this kernel lets us use rings; if not, why.
static REFUSED: LazyLock<Option<String>> = LazyLock::new(|| probe::io_uring().err().map(|why| why.to_string()));

/// Runs `test` on `io_uring`. Where the kernel refuses rings it says so, past the capture of a test's output, and in
/// CI (the variable `CI` is set) it fails: there, nothing is left out unnoticed.
pub(crate) fn on_io_uring(name: &str, test: fn(Engine)) {
    let Some(why) = &*REFUSED else { return test("io_uring") };
    assert!(std::env::var_os("CI").is_none(), "io_uring is refused here, and CI leaves nothing out: {why}");
    // Nobody reads: then nobody misses it.
    let _ = writeln!(std::io::stderr(), "NOT TESTED: {name} on io_uring, which this kernel refuses: {why}");
}

/// Makes each of these functions a test on `io_uring` and one on epoll.
macro_rules! on_both_engines {
    ($($test:ident),+ $(,)?) => {
        mod io_uring {
            $(#[test] fn $test() { crate::support::engines::on_io_uring(concat!(module_path!(), "::", stringify!($test)), super::$test); })+
        }
        mod epoll {
            $(#[test] fn $test() { super::$test("epoll"); })+
        }
    };
}

pub(crate) use on_both_engines;

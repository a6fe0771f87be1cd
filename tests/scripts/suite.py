"""Runs the scripts named on the command line, or all, and ends with one line that counts their tests. With -v, evidence
prints what it sees, as it does when it is named.

Most tests wait for others most of their time. So several classes run at once, each in a process of its own; what a busy
machine would change runs alone at the end. What a class says is printed when it is over, in the order below.
"""

import contextlib
import io
import itertools
import multiprocessing
import os
import sys
import unittest
from concurrent.futures import ProcessPoolExecutor

# Those that take longest come first, so that none of them is left when the others are done.
SCRIPTS = [
    "interop_python", "interop_node", "collector", "evidence", "monitoring", "conformance", "drain", "refused", "strace",
    "seccomp", "kubernetes", "reading", "admission", "pod",
]
# Two measure; the conformance suite gives each of its cases a second, which is its to set.
ALONE = {
    "admission.Speed", "conformance.OnEpoll", "conformance.OnIoUring", "conformance.WithoutRingside", "kubernetes.Speed",
}
AT_ONCE = 2 * len(os.sched_getaffinity(0))

groups = []  # of tests, by class; each process inherits them


class Result(unittest.TextTestResult):
    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def class_of(test):
    return f"{type(test).__module__}.{type(test).__qualname__}"


def tests_in(suite):
    for test in suite:
        yield from tests_in(test) if isinstance(test, unittest.TestSuite) else [test]


def run(number):
    """What the tests of one group say, and how many have passed, failed, and were skipped."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        result = unittest.TextTestRunner(said, verbosity=2, resultclass=Result).run(unittest.TestSuite(groups[number]))
    return said.getvalue(), (result.passed, len(result.failures) + len(result.errors), len(result.skipped))


def main(names):
    tests = tests_in(unittest.defaultTestLoader.loadTestsFromNames(names or SCRIPTS))
    groups.extend(list(group) for _, group in itertools.groupby(tests, class_of))
    alone = [number for number, group in enumerate(groups) if class_of(group[0]) in ALONE]
    together = [number for number in range(len(groups)) if number not in alone]
    counts = []
    for numbers, at_once in ((together, AT_ONCE), (alone, 1)):
        with ProcessPoolExecutor(at_once, multiprocessing.get_context("fork")) as processes:
            for said, counted in processes.map(run, numbers):
                print(said, flush=True)
                counts.append(counted)
    passed, failed, skipped = map(sum, zip(*counts, (0, 0, 0)))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not counts else 0


if __name__ == "__main__":
    sys.exit(main([name for name in sys.argv[1:] if name != "-v"]))

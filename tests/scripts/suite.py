"""Runs the scripts named on the command line, or all, and ends with one line that counts their tests. With -v, evidence
prints what it sees, as it does when it is named."""

import sys
import unittest

SCRIPTS = [
    "interop_python", "interop_node", "collector", "evidence", "monitoring", "conformance", "drain", "refused", "strace",
    "seccomp", "kubernetes", "reading", "admission", "pod",
]


class Result(unittest.TextTestResult):
    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def main(names):
    suite = unittest.defaultTestLoader.loadTestsFromNames(names or SCRIPTS)
    result = unittest.TextTestRunner(sys.stdout, verbosity=2, resultclass=Result).run(suite)
    failed = len(result.failures) + len(result.errors)
    print(f"{result.passed} passed, {failed} failed, {len(result.skipped)} skipped")
    return 1 if failed or result.testsRun == 0 else 0


if __name__ == "__main__":
    sys.exit(main([name for name in sys.argv[1:] if name != "-v"]))

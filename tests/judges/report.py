"""PASS, FAIL and SKIP lines, and the exit code that follows from them."""

import sys
from collections import Counter


class Report:
    """Counts verdicts; each is one line on standard output."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, name, judge):
        """Runs `judge`: what it returns is the detail of a PASS, what it raises that of a FAIL."""
        try:
            detail = judge()
        except Skip as reason:
            self.skip(name, reason)
        except Exception as error:  # noqa: BLE001 - one broken check must not hide the others
            self.failed += 1
            kind = "" if isinstance(error, Fault) else f"{type(error).__name__}: "
            print(f"FAIL {name}: {kind}{' '.join(str(error).split())}", flush=True)
        else:
            self.passed += 1
            print(f"PASS {name}: {detail}", flush=True)

    def skip(self, name, reason):
        self.skipped += 1
        print(f"SKIP {name}: {reason}", flush=True)

    def finish(self):
        """Prints the last line and ends the process."""
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)


class Fault(Exception):
    """What a check found wrong, in words."""


class Skip(Exception):
    """Why a check cannot be made here."""


def same(**named):
    """Raises unless all values are equal; sets and counters are compared by their differences."""
    (first, expected), *others = named.items()
    for name, value in others:
        if value == expected:
            continue
        if isinstance(value, (set, Counter)):
            raise Fault(f"only in {first}: {some(expected - value)}; only in {name}: {some(value - expected)}")
        raise Fault(f"{first} says {expected}, {name} says {value}")
    return expected


def none_of(what, faults):
    """Raises with the first few of `faults` if there are any."""
    faults = list(faults)
    if faults:
        raise Fault(f"{len(faults)} {what}: {some(faults)}")


def some(values, limit=5):
    """Shows at most `limit` values, in order."""
    values = sorted(values, key=str)
    more = f" and {len(values) - limit} more" if len(values) > limit else ""
    return f"{', '.join(map(str, values[:limit]))}{more}" if values else "none"

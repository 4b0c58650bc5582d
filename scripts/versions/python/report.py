"""What the Python clients of the version matrix share: records, and how a part's result is printed."""

import os
import sys
import time
import traceback

PATIENCE_S = 60

# The time of the first record: young enough to be kept, and not that of the broker's clock.
FIRST_MS = int(time.time() * 1000) - 3_600_000


class Report:
    """Prints how each part of a run went, as scripts/versions.sh reads it."""

    def __init__(self, client, version, server):
        self.client, self.version, self.server = client, version, server
        self.prefix = f"{client}..{version}.."

    def part(self, name, body):
        try:
            body()
            how = "ok"
        except BaseException as e:  # a client's panic is a result too
            if isinstance(e, KeyboardInterrupt):
                raise
            if os.environ.get("KRING_TRACES"):
                traceback.print_exc()
            line = [f.lineno for f in traceback.extract_tb(e.__traceback__) if os.path.dirname(f.filename) == os.path.dirname(os.path.abspath(__file__))][-1]
            how = f"FAIL {type(e).__name__}: {e} (line {line})"
        self._line(name, how)

    def done(self):
        """Says that the run came to its end: without it the script counts it as failed."""
        self._line("done", "ok")

    def _line(self, name, how):
        print("\t".join(["result", self.client, self.version, self.server, name, " ".join(how.split())]), flush=True)


def equal(what, want, got):
    if want != got:
        raise AssertionError(f"{what}: want {str(want)[:300]}, got {str(got)[:300]}")


def becomes(what, want, found):
    """Waits until what is found is what is right: some answers are right only after a moment."""
    end = time.monotonic() + 20
    while (got := found()) != want and time.monotonic() < end:
        time.sleep(0.02)
    equal(what, want, got)


def record(i):
    """The i-th record's key, value, headers and time: some have no key; long enough to be worth compressing."""
    key = None if i % 5 == 0 else f"key-{i}".encode()
    return key, (f"{i} " + "kring " * (i % 50 + 10)).encode(), [("n", str(i).encode())], FIRST_MS + i


def arguments():
    """The client's version, the server's name and its address."""
    return sys.argv[1:4]

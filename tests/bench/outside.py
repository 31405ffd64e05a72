#!/usr/bin/env python3
"""How long a change that somebody makes on a branch takes to be seen through a pool, and what hearing of it costs.

    outside.py PLYFS [ROUNDS]      as root; 100 rounds of each without the number

The pool's timeouts are 1000 seconds, so that only the watch makes a change seen. A Markdown table to stdout, of
milliseconds: the median and the longest, over each transport that can be had. Then what creating and removing a file
through the mount takes with the watch and without: microseconds, and those of a processor that the daemon had, medians
of rounds in turn.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time

LONG = "timeout=1000,negative_timeout=1000,minfreespace=0"
PATIENCE = 5.0


class Pool:
    def __init__(self, plyfs, folder, options):
        self.branches = [os.path.join(folder, name) for name in "ab"]
        self.at = os.path.join(folder, "pool")
        for path in [*self.branches, self.at]:
            os.makedirs(os.path.join(path, "d") if path != self.at else path, exist_ok=True)
        made = subprocess.run([plyfs, "-o", options, ":".join(self.branches), self.at], capture_output=True, text=True)
        if made.returncode != 0:
            sys.exit(made.stderr)
        stats = os.getxattr(self.at, "user.plyfs.stats").decode()
        self.pid = dict(line.split(" ", 1) for line in stats.splitlines())["pid"]

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            words = stat.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", self.at], check=True)


def changes(branch, name):
    """Each change, and what has to be true of the file in the pool once it is seen."""
    path = os.path.join(branch, "d", name)

    def append():
        with open(path, "ab") as file:
            file.write(b"more")

    return [
        ("create", lambda: open(path, "xb").close(), lambda st: st is not None),
        ("write and close", append, lambda st: st.st_size == 4),
        ("chmod", lambda: os.chmod(path, 0o600), lambda st: st.st_mode & 0o777 == 0o600),
        ("rename", lambda: os.rename(path, path + "x"), lambda st: st is None),
        ("unlink", lambda: os.unlink(path + "x"), None),
        ("mkdir", lambda: os.mkdir(path), lambda st: st is not None),
        ("rmdir", lambda: os.rmdir(path), lambda st: st is None),
    ]


def look(path):
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def wait_for(path, is_seen):
    begin = time.monotonic()
    while not is_seen(look(path)):
        if time.monotonic() - begin > PATIENCE:
            sys.exit(f"{path}: not seen after {PATIENCE:.0f} s")
    return 1000 * (time.monotonic() - begin)


def measure_delays(pool, rounds):
    delays = {}
    for i in range(rounds):
        name = f"f{i}"
        shown = os.path.join(pool.at, "d", name)
        for what, change, is_seen in changes(pool.branches[i % 2], name):
            shown_now = shown
            if what == "unlink":  # of the name that was renamed to
                shown_now, is_seen = shown + "x", lambda st: st is None
            look(shown_now)
            change()
            delays.setdefault(what, []).append(wait_for(shown_now, is_seen))
    return delays


def measure_cost(pool, count=5000):
    begin, cpu = time.monotonic(), pool.cpu_seconds()
    for i in range(count):
        path = os.path.join(pool.at, "d", f"own{i}")
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
        os.unlink(path)
    taken = time.monotonic() - begin
    time.sleep(0.1)
    return 1e6 * taken / count, 1e6 * (pool.cpu_seconds() - cpu) / count


def main():
    plyfs = os.path.abspath(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    transports = ["devfuse"]
    with open("/sys/module/fuse/parameters/enable_uring") as switch:
        if switch.read().strip() in "Y1":
            transports.append("io_uring")
    with tempfile.TemporaryDirectory(prefix="plyfs-outside.") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
        try:
            print("| seen after, ms | " + " | ".join(f"{t}: median, longest" for t in transports) + " |")
            print("|---|" + "--:|" * len(transports))
            table = []
            for transport in transports:
                with Pool(plyfs, folder, f"{LONG},coherence=watch,transport={transport}") as pool:
                    table.append(measure_delays(pool, rounds))
            for what in table[0]:
                cells = [f"{statistics.median(d[what]):.2f}, {max(d[what]):.1f}" for d in table]
                print(f"| {what} | " + " | ".join(cells) + " |")
            print("\n| create, close and unlink, us | with: taken, daemon | without: taken, daemon |")
            print("|---|--:|--:|")
            for transport in transports:
                costs = {"watch": [], "timeout": []}
                for _ in range(5):
                    for mode, taken in costs.items():
                        options = f"minfreespace=0,coherence={mode},transport={transport}"
                        with Pool(plyfs, folder, options) as pool:
                            taken.append(measure_cost(pool))
                cells = [", ".join(f"{statistics.median(one):.1f}" for one in zip(*taken)) for taken in costs.values()]
                print(f"| {transport} | " + " | ".join(cells) + " |")
        finally:
            subprocess.run(["umount", folder], check=True)


if __name__ == "__main__":
    main()

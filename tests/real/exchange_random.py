#!/usr/bin/env python3
"""Random changes, made in two trees at once that must answer alike and stay alike.

    exchange_random.py fill DIRECTORY PART links|plain      the contents of a layer; both parts of it: of the model
    exchange_random.py change ROOT MODEL SEED COUNT LOG     COUNT changes; exits with 1 where the two answer differently

ROOT is a mount, MODEL a plain directory. A rename that the mount refuses with EXDEV is undone in the model.
"""
import errno
import os
import random
import stat
import sys

from exchange_layers import Layer
from exchange_steps import EXCHANGE, NOREPLACE, put, remove, renameat2

FOLDERS = ["", "d0/", "d1/", "d0/d2/", "d1/d3/", "d0/d2/d4/", "n0/", "n1/", "d1/n0/"]
LEAVES = ["f0", "f1", "f2", "f3", "f4", "d0", "d1", "d2", "d3", "d4", "n0", "n1", "s0", "s1", "l0", "l1"]


def fill(root, part, links):
    layer = Layer(root, 1 + part, "trusted")
    for folder in FOLDERS[:6]:
        layer.dir(folder or ".")
        for i in range(5):
            if i % 2 == part:
                layer.seed = i
                layer.file("%sf%d" % (folder, i), 100 + 40_000 * (i % 3), 0o640, (i, part))
    layer.symlink("s%d" % part, "d0/f%d" % part)
    layer.file("d1/only%d/deep/f0" % part)
    if links == "links":
        for i in (0, 1):
            layer.file("d0/l%d" % i, 500) if part == i else None
            layer.link("d0/l%d" % i, "d1/l%d" % i) if part == i else None
            layer.link("d0/l%d" % i, "l%d" % i) if part == i else None


def write(path, value, flags):
    """Not waiting for a reader, where it is a FIFO."""
    put(path, b"%d" % value * 50, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | flags, value * 3, 0o640)


class Pair:
    def __init__(self, root, model, seed, log):
        self.roots, self.random, self.log = (root, model), random.Random(seed), log

    def both(self, what, change):
        results = []
        for root in self.roots:
            try:
                change(root + "/")
                results.append("ok")
            except OSError as error:
                results.append(errno.errorcode.get(error.errno, "?"))
        self.log.write("%s: %s\n" % (what, " / ".join(sorted(set(results), key=results.index))))
        return results

    def rename(self, a, b):
        flags = self.random.choice([0, 0, 0, NOREPLACE, EXCHANGE])
        model = self.roots[1] + "/"
        if flags == 0 and os.path.isdir(model + a) and os.path.lexists(model + b):
            flags = NOREPLACE  # what can be undone
        mount, plain = self.both("rename %d %s %s" % (flags, a, b), lambda r: renameat2(r + a, r + b, flags))
        if mount != "EXDEV" or plain == "EXDEV":
            return mount == plain
        if plain == "ok":
            renameat2(model + b, model + a, flags)
        return True

    def step(self):
        a, b = (self.random.choice(FOLDERS) + self.random.choice(LEAVES) for _ in range(2))
        value = self.random.randrange(1000)
        kind = self.random.randrange(20)
        if kind in (0, 1, 2, 3, 4):
            return self.rename(a, b)
        what, change = {
            5: ("create", lambda r: write(r + a, value, os.O_CREAT | os.O_EXCL)),
            6: ("write", lambda r: write(r + a, value, 0)),
            7: ("create or write", lambda r: write(r + a, value, os.O_CREAT)),
            8: ("truncate", lambda r: os.truncate(r + a, value * 10)),
            9: ("unlink", lambda r: os.unlink(r + a)),
            10: ("mkdir", lambda r: os.mkdir(r + a)),
            11: ("rmdir", lambda r: os.rmdir(r + a)),
            12: ("remove", lambda r: remove(r + a) if value < 300 else os.mkdir(r + a)),
            13: ("link to %s" % b, lambda r: os.link(r + a, r + b, follow_symlinks=False)),
            14: ("symlink", lambda r: os.symlink(b, r + a)),
            15: ("chmod", lambda r: os.chmod(r + a, value | 0o400) if not os.path.islink(r + a) else None),
            16: ("chown", lambda r: os.chown(r + a, value, 7, follow_symlinks=False)),
            17: ("setxattr", lambda r: os.setxattr(r + a, "trusted.x", b"%d" % value, follow_symlinks=False)),
            18: ("overwrite", lambda r: write(r + a, value, os.O_TRUNC)),
            19: ("mknod", lambda r: os.mknod(r + a, (stat.S_IFIFO, stat.S_IFCHR)[value % 2] | 0o600, 0x103)),
        }[kind]
        results = self.both("%s %s (%d)" % (what, a, value), change)
        return results[0] == results[1]


def main():
    if sys.argv[1] == "fill":
        return fill(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    with open(sys.argv[6], "a", buffering=1) as log:
        pair = Pair(sys.argv[2], sys.argv[3], int(sys.argv[4]), log)
        for _ in range(int(sys.argv[5])):
            if not pair.step():
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

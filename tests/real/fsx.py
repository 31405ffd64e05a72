#!/usr/bin/env python3
"""Exercises one file at random beside a model of it in memory, and compares: by read(2), by a map, by stat, through
descriptors opened before and after.

    fsx.py FILE SECONDS [SEED]      the file is there already (what it holds is the start), or is made

Ends with 1 and the last steps when the file is not what the model says. SEED repeats a run.
"""
import ctypes
import errno
import mmap
import os
import random
import sys
import time

MOST = 1 << 20  # bytes a file grows to
PUNCH, KEEP, ZERO, COLLAPSE, INSERT = 2, 1, 16, 8, 32  # modes of fallocate(2)
BLOCK = 4096
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def fallocate(fd, mode, at, size):
    if libc.fallocate(fd, mode, at, size) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")


class Exerciser:
    def __init__(self, path, seed):
        self.path, self.random, self.steps = path, random.Random(seed), []
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self.model = bytearray(os.pread(self.fd, MOST * 2, 0))
        self.second = os.open(path, os.O_RDWR)  # what is written by one is read by the other

    def span(self, beyond=True):
        size = len(self.model)
        at = self.random.randrange(0, MOST - 1 if beyond else max(1, size))
        return at, self.random.randrange(1, min(65536, MOST - at) + 1)

    def any_fd(self):
        return self.random.choice((self.fd, self.second))

    def put(self, at, data):
        if at > len(self.model):
            self.model.extend(bytes(at - len(self.model)))
        self.model[at:at + len(data)] = data

    def write(self):
        at, size = self.span()
        data = self.random.randbytes(size)
        done = os.pwrite(self.any_fd(), data, at)
        self.put(at, data[:done])
        return at, size

    def append(self):
        data = self.random.randbytes(self.random.randrange(1, 5000))
        if len(self.model) + len(data) > MOST:
            return None
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        os.write(fd, data)
        os.close(fd)
        self.put(len(self.model), data)
        return len(data)

    def read(self):
        at, size = self.span()
        got = os.pread(self.any_fd(), size, at)
        if got != bytes(self.model[at:at + size]):
            self.wrong(f"read {size} at {at}", got, self.model[at:at + size], at)
        return at, size

    def map_read(self):
        if not self.model:
            return None
        at, size = self.span(beyond=False)
        with mmap.mmap(self.any_fd(), len(self.model), prot=mmap.PROT_READ) as area:
            got = area[at:at + size]
        if got != bytes(self.model[at:at + size]):
            self.wrong(f"map {size} at {at}", got, self.model[at:at + size], at)
        return at, size

    def map_write(self):
        if not self.model:
            return None
        at, size = self.span(beyond=False)
        data = self.random.randbytes(min(size, len(self.model) - at))
        with mmap.mmap(self.any_fd(), len(self.model)) as area:
            area[at:at + len(data)] = data
            if self.random.random() < 0.3:
                area.flush()
        self.put(at, data)
        return at, len(data)

    def truncate(self):
        size = self.random.randrange(0, MOST)
        if self.random.random() < 0.5:
            os.ftruncate(self.any_fd(), size)
        else:
            os.truncate(self.path, size)
        if size < len(self.model):
            del self.model[size:]
        else:
            self.model.extend(bytes(size - len(self.model)))
        return size

    def open_truncated(self):
        os.close(os.open(self.path, os.O_RDWR | os.O_TRUNC))
        self.model.clear()
        return 0

    def change_space(self):
        mode = self.random.choice((0, KEEP, PUNCH | KEEP, ZERO, ZERO | KEEP, COLLAPSE, INSERT))
        at, size = self.span()
        if mode in (COLLAPSE, INSERT):
            at, size = at // BLOCK * BLOCK, BLOCK
            if at + size >= len(self.model) or (mode == INSERT and len(self.model) + size > MOST):
                return None
        try:
            fallocate(self.any_fd(), mode, at, size)
        except OSError as e:
            if e.errno == errno.EOPNOTSUPP:
                return None
            raise
        end = at + size
        if mode == COLLAPSE:
            del self.model[at:end]
        elif mode == INSERT:
            self.model[at:at] = bytes(size)
        else:
            if not mode & KEEP and end > len(self.model):
                self.model.extend(bytes(end - len(self.model)))
            if mode & (PUNCH | ZERO):
                end = min(end, len(self.model))
                if at < end:
                    self.model[at:end] = bytes(end - at)
        return mode, at, size

    def copy_range(self):
        at, size = self.span(beyond=False)
        size = min(size, len(self.model) - at)
        to = self.random.randrange(0, MOST - size) if size > 0 else 0
        if size <= 0 or abs(to - at) < size:
            return None
        done = os.copy_file_range(self.fd, self.second, size, at, to)
        self.put(to, bytes(self.model[at:at + done]))
        return at, size, to

    def sync(self):
        os.fsync(self.any_fd())
        return ()

    def forget(self):
        os.posix_fadvise(self.any_fd(), 0, 0, os.POSIX_FADV_DONTNEED)
        return ()

    def change_mode(self):
        os.chmod(self.path, self.random.choice((0o600, 0o644, 0o640)))
        return ()

    def rename(self):
        other = self.path + ".renamed"
        os.rename(self.path, other)
        os.rename(other, self.path)
        return ()

    def link(self):
        other = self.path + ".link"
        os.link(self.path, other)
        fd = os.open(other, os.O_RDWR)
        at, data = self.random.randrange(0, MOST - 9), b"by a link"
        os.pwrite(fd, data, at)
        os.close(fd)
        os.unlink(other)
        self.put(at, data)
        return at

    def open_again(self):
        os.close(self.second)
        self.second = os.open(self.path, os.O_RDWR)
        return ()

    def check_all(self):
        for st in (os.fstat(self.fd), os.stat(self.path)):
            if st.st_size != len(self.model):
                self.wrong(f"size {st.st_size}, should be {len(self.model)}")
        got = os.pread(self.any_fd(), MOST * 2, 0)
        if got != bytes(self.model):
            self.wrong("whole", got, self.model, 0)
        return ()

    def wrong(self, what, got=b"", wanted=b"", at=0):
        first = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
        print(f"{self.path}: {what}: first difference at {at + first} ({len(got)} bytes, should be {len(wanted)})")
        for step in self.steps[-30:]:
            print("  ", step)
        sys.exit(1)

    def run(self, seconds):
        often = [self.write] * 5 + [self.read] * 5 + [self.map_read, self.map_write] * 3
        once = [self.append, self.truncate, self.change_space, self.copy_range, self.sync, self.forget,
                self.change_mode, self.rename, self.link, self.open_again, self.open_truncated, self.check_all]
        end, count = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            step = self.random.choice(often if self.random.random() < 0.6 else once)
            did = step()
            if did is not None:
                self.steps = self.steps[-40:] + [(step.__name__, did)]
            count += 1
        self.check_all()
        return count


def main():
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 30)
    print(f"{sys.argv[1]}: seed {seed}", flush=True)
    print(f"{sys.argv[1]}: {Exerciser(sys.argv[1], seed).run(float(sys.argv[2]))} steps")


if __name__ == "__main__":
    main()

"""A download, for tests/real/pool.

    pool_download.py run FILE LIBRARY SEED     reserves FILE.part, writes it in any order by two threads while a third
                                               checks what is there, links it as LIBRARY and renames it to FILE meanwhile
    pool_download.py check FILE LIBRARY SEED   both are the same file and what they should be
"""
import hashlib
import os
import random
import sys
import threading
import time

PIECE = 256 << 10
PIECES = 256


def piece_of(seed, number):
    return hashlib.shake_128(b"%d %d" % (seed, number)).digest(PIECE)


def is_right(fd, hashes, number):
    return hashlib.sha256(os.pread(fd, PIECE, number * PIECE)).digest() == hashes[number]


class Download:
    def __init__(self, path, library, seed):
        self.path, self.library, self.part = path, library, path + ".part"
        self.hashes = [hashlib.sha256(piece_of(seed, i)).digest() for i in range(PIECES)]
        self.seed = seed
        self.order = list(range(PIECES))
        random.Random(seed).shuffle(self.order)
        self.done = set()
        self.faults = []

    def write(self, fd, numbers):
        for number in numbers:
            data = piece_of(self.seed, number)
            if os.pwrite(fd, data, number * PIECE) != PIECE or not is_right(fd, self.hashes, number):
                self.faults.append(("written", number))
            self.done.add(number)
        os.fsync(fd)

    def check(self, fd):
        for number in list(self.done):
            if not is_right(fd, self.hashes, number):
                self.faults.append(("checked", number))

    def run(self):
        fds = [os.open(self.part, os.O_RDWR | os.O_CREAT, 0o644)]
        os.posix_fallocate(fds[0], 0, PIECE * PIECES)
        fds.append(os.open(self.part, os.O_RDWR))
        reader = os.open(self.part, os.O_RDONLY)
        threads = [threading.Thread(target=self.write, args=(fd, self.order[i::2])) for i, fd in enumerate(fds)]
        for thread in threads:
            thread.start()
        while len(self.done) < PIECES // 3:
            time.sleep(0.01)
        os.link(self.part, self.library)
        os.rename(self.part, self.path)
        while any(thread.is_alive() for thread in threads):
            self.check(reader)
        for thread in threads:
            thread.join()
        self.check(reader)
        return self.is_whole() and not self.faults

    def is_whole(self):
        for path in (self.path, self.library):
            fd = os.open(path, os.O_RDONLY)
            if os.fstat(fd).st_size != PIECE * PIECES:
                return False
            if not all(is_right(fd, self.hashes, i) for i in range(PIECES)):
                return False
            os.close(fd)
        return os.path.samefile(self.path, self.library) and os.stat(self.path).st_nlink == 2


if __name__ == "__main__":
    job = Download(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    good = job.run() if sys.argv[1] == "run" else job.is_whole()
    for fault in job.faults[:10]:
        print("wrong:", *fault, file=sys.stderr)
    sys.exit(0 if good else 1)

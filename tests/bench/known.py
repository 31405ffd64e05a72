#!/usr/bin/env python3
"""What files that the kernel knows cost the daemon: memory and descriptors.

    known.py PLYFS [COUNT]      as root; 1,000,000 files without the number, a thousand a directory, in a tmpfs

Looks at each file through a mount, layers and a pool in turn, then has the kernel drop its caches (of the whole machine).
A Markdown table to stdout; bytes are the growth of what of the daemon is in memory (VmRSS). Exits with 1 when a
known file costs more than 256 bytes, or more than 20,000 descriptors are open.
"""
import os
import re
import subprocess
import sys
import tempfile
import time

MOST_BYTES = 256
MOST_DESCRIPTORS = 20000
PER_DIR = 1000


def make_files(root, count):
    for d in range(count // PER_DIR):
        os.mkdir(f"{root}/d{d:05}")
        at = os.open(f"{root}/d{d:05}", os.O_DIRECTORY | os.O_RDONLY)
        for f in range(PER_DIR):
            os.mknod(f"f{f:03}", 0o644, dir_fd=at)
        os.close(at)


def look_at_all(root):
    seen = 0
    for entry in os.scandir(root):
        seen += sum(1 for file in os.scandir(entry.path) if file.stat(follow_symlinks=False))
    return seen


def stats(mount):
    text = os.getxattr(mount, "user.plyfs.stats").decode()
    return dict(line.split(" ", 1) for line in text.splitlines())


def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return 1024 * int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


def drop_caches(mount, most_left):
    with open("/proc/sys/vm/drop_caches", "w") as drop:
        drop.write("2")
    until = time.monotonic() + 60
    while int(stats(mount)["nodes"]) > most_left and time.monotonic() < until:
        time.sleep(0.1)


def measure(plyfs, kind, arguments, mount, count):
    subprocess.run([plyfs, *arguments, mount], check=True)
    try:
        pid = int(stats(mount)["pid"])
        before = resident(pid)
        seen = look_at_all(mount)
        nodes = int(stats(mount)["nodes"])
        grown = resident(pid) - before
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
        drop_caches(mount, nodes // 100)
        time.sleep(3)
        left = resident(pid) - before
        known = int(stats(mount)["nodes"])
    finally:
        subprocess.run(["umount", mount], check=True)
    if seen != count:
        sys.exit(f"{kind}: {seen} files seen, {count} made")
    print(f"| {kind} | {nodes} | {grown / nodes:.0f} | {descriptors} | {known} | {left / 2**20:.1f} |", flush=True)
    return grown / nodes <= MOST_BYTES and descriptors <= MOST_DESCRIPTORS


def main():
    plyfs = os.path.abspath(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000000
    kept = True
    with tempfile.TemporaryDirectory(prefix="plyfs-known.") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=0,size=8G", "none", folder], check=True)
        try:
            for name in ("a", "b", "upper", "work", "mnt"):
                os.mkdir(f"{folder}/{name}")
            make_files(f"{folder}/a", count)
            print("| | nodes | bytes a node | descriptors | nodes after dropped caches | MiB more than at first |")
            print("|---|--:|--:|--:|--:|--:|")
            layers = f"lowerdir={folder}/a,upperdir={folder}/upper,workdir={folder}/work"
            kept &= measure(plyfs, "layers", ["-o", layers], f"{folder}/mnt", count)
            kept &= measure(plyfs, "pool", ["-o", "minfreespace=0", f"{folder}/a:{folder}/b"], f"{folder}/mnt", count)
        finally:
            # The last daemon may still be on its way out.
            subprocess.run(["umount", "-l", folder], check=True)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What a tree looks like, and how two looks differ.

    exchange_digest.py see ROOT FILE [strict]     writes a look at ROOT to FILE; strict: also what nobody else may touch
    exchange_digest.py compare FIRST SECOND [since=SECONDS] [moved] [ino] [skip=PREFIX]...

compare prints a line for each difference and exits with 1 if there was one. since: times from then on count as equal
(two runs of the same changes); moved: and of directories each time from then on counts as any; ino: inode numbers count, and those that readdir gives have to be the same; skip: paths
that begin so do not.
"""
import fcntl
import hashlib
import json
import os
import stat
import struct
import sys

GETFLAGS = 0x80086601
KEPT_FLAGS = 0x20 | 0x10 | 0x80 | 0x08  # append-only, immutable, no atime, synchronous


def content(path):
    digest = hashlib.sha256()
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:24]


def flags(path):
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return struct.unpack("I", fcntl.ioctl(fd, GETFLAGS, b"\0" * 4))[0] & KEPT_FLAGS
    except OSError:
        return 0
    finally:
        os.close(fd)


def describe(path, strict):
    st = os.lstat(path)
    seen = {
        "type": stat.filemode(st.st_mode)[0], "mode": "%o" % (st.st_mode & 0o7777), "owner": [st.st_uid, st.st_gid],
        "mtime": st.st_mtime_ns, "ino": st.st_ino,
    }
    if not stat.S_ISDIR(st.st_mode):
        seen["size"], seen["nlink"], seen["file"] = st.st_size, st.st_nlink, [st.st_dev, st.st_ino]
    if strict:
        seen["ctime"] = st.st_ctime_ns
    if stat.S_ISLNK(st.st_mode):
        seen["target"] = os.fsdecode(os.readlink(path))
    elif stat.S_ISREG(st.st_mode):
        seen["content"], seen["flags"] = content(path), flags(path)
    elif stat.S_ISDIR(st.st_mode):
        seen["flags"] = flags(path)
    elif stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
        seen["rdev"] = [os.major(st.st_rdev), os.minor(st.st_rdev)]
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        # XFS shows ACLs under names of its own as well, which plyfs keeps to itself.
        if name != "user.plyfs.stats" and not name.startswith("trusted.SGI_ACL_"):
            seen["xattr " + name] = os.getxattr(path, name, follow_symlinks=False).hex()[:80]
    return seen


def described(path, strict):
    """What can not be looked at is a look as well."""
    try:
        return describe(path, strict)
    except OSError as error:
        return {"error": error.strerror}


def see(root, strict):
    look, folders = {}, [b""]
    while folders:
        folder = folders.pop()
        here = root + b"/" + folder
        look[os.fsdecode(folder) or "."] = described(here, strict)
        try:
            entries = list(os.scandir(here))
        except OSError as error:
            look[os.fsdecode(folder) or "."]["can not be listed"] = error.strerror
            continue
        for entry in entries:
            name = folder + b"/" + entry.name if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
            else:
                look[os.fsdecode(name)] = described(root + b"/" + name, strict)
                look[os.fsdecode(name)]["listed ino"] = entry.inode()
    # Hard links: which name of the same file comes first, and how many are seen.
    groups = {}
    for name in sorted(look):
        if "file" in look[name]:
            groups.setdefault(tuple(look[name].pop("file")), []).append(name)
    for names in groups.values():
        if len(names) > 1:
            for name in names:
                look[name]["same file as"] = names
    return look


def compare(first, second, since, moved, ino, skipped):
    count = 0
    for name in sorted(set(first) | set(second)):
        if any(name == prefix or name.startswith(prefix) for prefix in skipped):
            continue
        a, b = first.get(name), second.get(name)
        if a is None or b is None:
            count += 1
            print("  %s: only in the %s: %s" % (ascii(name), "first" if a else "second", json.dumps(a or b)[:200]))
            continue
        for x in (a, b) if ino and name != "." else ():
            if "ino" in x and x.get("listed ino", x["ino"]) != x["ino"]:
                count += 1
                print("  %s: is listed as inode %d, and is %d" % (ascii(name), x["listed ino"], x["ino"]))
        for key in sorted(set(a) | set(b)):
            x, y = a.get(key), b.get(key)
            if key.endswith("ino") and not ino or x == y:
                continue
            if key == "mtime" and x and y and min(x, y) >= since * 10**9:
                continue
            if key == "mtime" and moved and a["type"] == "d" and max(x, y) >= since * 10**9:
                continue
            count += 1
            print("  %s: %s: %s, %s" % (ascii(name), key, json.dumps(x), json.dumps(y)))
    return count


def main():
    if sys.argv[1] == "see":
        with open(sys.argv[3], "w") as out:
            json.dump(see(os.fsencode(sys.argv[2]), "strict" in sys.argv[4:]), out)
        return 0
    words = dict(word.partition("=")[::2] for word in sys.argv[4:] if not word.startswith("skip="))
    skipped = [word[5:] for word in sys.argv[4:] if word.startswith("skip=")]
    looks = [json.load(open(name)) for name in sys.argv[2:4]]
    return 1 if compare(*looks, float(words.get("since", "inf")), "moved" in words, "ino" in words, skipped) else 0


sys.exit(main())

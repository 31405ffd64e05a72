#!/usr/bin/env python3
"""Fills two directories with layers that hold every kind of object: the upper of the two in TOP, the other in BASE.

    exchange_layers.py TOP BASE trusted|user

The last word says in which namespace the marks of the layers are written. All times lie in the past.
"""
import fcntl
import os
import socket
import stat
import struct
import sys

GETFLAGS, SETFLAGS = 0x80086601, 0x40086602
APPEND, IMMUTABLE, NOATIME, SYNC = 0x20, 0x10, 0x80, 0x08
ODD_NAMES = [
    b"new\nline", b"n" * 255, b".wh", b".whx", b"trailing  ", b" leading", b"-dash", b"back\\slash", b"co:lon",
    b"com,ma", b"\xff\xfe", b"*", b"work", b"index", b"\xc3\xa4", b"'quote\"",
]


def pattern(size, seed):
    block = bytes((i * 7 + seed * 13 + (i >> 8) * 31) & 0xFF for i in range(4099))
    return (block * (size // len(block) + 1))[:size]


def acl(user, group, other, users=(), groups=(), mask=0o7):
    """A POSIX ACL as its attribute's bytes."""
    entries = [(0x01, user, 0xFFFFFFFF)] + [(0x02, perm, uid) for uid, perm in users]
    entries += [(0x04, group, 0xFFFFFFFF)] + [(0x08, perm, gid) for gid, perm in groups]
    entries += [(0x10, mask, 0xFFFFFFFF)] if users or groups else []
    entries += [(0x20, other, 0xFFFFFFFF)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def capability():
    """cap_net_raw+ep"""
    return struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)


def set_flags(path, add=0, remove=0):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        flags = struct.unpack("I", fcntl.ioctl(fd, GETFLAGS, b"\0" * 4))[0]
        fcntl.ioctl(fd, SETFLAGS, struct.pack("I", (flags | add) & ~remove))
    finally:
        os.close(fd)


class Layer:
    def __init__(self, root, number, marks):
        self.root, self.number, self.marks, self.seed = root, number, marks, 0

    def path(self, name):
        return os.path.join(os.fsencode(self.root), os.fsencode(name))

    def dir(self, name, mode=0o755, owner=(0, 0)):
        os.makedirs(self.path(name), exist_ok=True)
        os.chown(self.path(name), *owner)
        os.chmod(self.path(name), mode)

    def file(self, name, size=100, mode=0o644, owner=(0, 0)):
        self.seed += 1
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as out:
            out.write(pattern(size, self.seed + self.number * 1000))
        os.chown(self.path(name), *owner)
        os.chmod(self.path(name), mode)

    def sparse(self, name):
        self.file(name, 0)
        with open(self.path(name), "r+b") as out:
            for at in (1 << 20, 3 << 20):
                out.seek(at)
                out.write(pattern(5000, at >> 20))
            out.truncate(4 << 20)

    def link(self, old, new):
        os.makedirs(os.path.dirname(self.path(new)), exist_ok=True)
        os.link(self.path(old), self.path(new))

    def symlink(self, name, target, owner=(0, 0)):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        os.symlink(target, self.path(name))
        os.lchown(self.path(name), *owner)

    def node(self, name, kind, device=0, mode=0o640, owner=(0, 0)):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        if kind == stat.S_IFSOCK:
            folder = os.open(os.path.dirname(self.path(name)), os.O_PATH)
            with socket.socket(socket.AF_UNIX) as end:
                end.bind(b"/proc/self/fd/%d/" % folder + os.path.basename(self.path(name)))
            os.close(folder)
        else:
            os.mknod(self.path(name), kind | 0o600, device)
        os.chown(self.path(name), *owner)
        os.chmod(self.path(name), mode)

    def attr(self, name, key, value):
        os.setxattr(self.path(name), key, value, follow_symlinks=False)

    def whiteout(self, name):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        os.mknod(self.path(name), stat.S_IFCHR, 0)

    def mark(self, name, key, value):
        self.attr(name, "%s.overlay.%s" % (self.marks, key), value)

    def age(self):
        """Every time into the past, children before parents."""
        count = 0
        for folder, dirs, files in os.walk(os.fsencode(self.root), topdown=False):
            for name in sorted(files) + [b"."] + sorted(n for n in dirs if os.path.islink(os.path.join(folder, n))):
                count += 1
                when = (1_000_000_000 + self.number * 100_000_000 + count * 3601) * 10**9 + 100_000_007 * (count % 9)
                os.utime(os.path.join(folder, name), ns=(when + 5, when), follow_symlinks=False)


def both(top, base):
    """What lies in both layers, or in one, without anything special about it."""
    for layer in (top, base):
        layer.file("files/both%d" % layer.number)
        for name in ("files/both", "merge/both", "merge/sub/both", "merge/sub/deeper/both"):
            layer.file(name, 200, owner=(layer.number, 7))
        for i in range(1, 13):
            layer.file("ren/m%d/from%d" % (i, layer.number))
            layer.file("ren/m%d/sub/leaf%d" % (i, layer.number), 3000)
            layer.file("ren/m%d/sub/both" % i, 10)
        for i in range(1, 9):
            layer.file("again%d/from%d" % (i, layer.number))
            layer.file("again%d/nest/from%d" % (i, layer.number))
        layer.dir("empty/both1")
        layer.dir("empty/both2")
        layer.dir("merge", 0o751, (layer.number * 10, 3))
    top.file("merge/top", 50)
    base.file("merge/base", 60)
    top.file("clash", 10)
    base.file("clash/below", 10)
    base.file("clash2", 10)
    top.file("clash2/above", 10)


def plain(layer):
    for i in range(1, 33):
        layer.file("files/small%d" % i, 90 + i, 0o600 + i % 8 * 8 + 4, (i, 100 + i))
    for i in range(1, 7):
        layer.file("files/large%d" % i, 300_000 + i)
    layer.file("files/empty", 0)
    for i in range(1, 5):
        layer.sparse("files/sparse%d" % i)
    for i in range(1, 13):
        layer.file("ren/l%d/file" % i)
        layer.file("ren/l%d/sub/leaf" % i, 2000)
        layer.symlink("ren/l%d/link" % i, "sub/leaf", (i, i))
    layer.file("deep/" + "/".join("d%d" % i for i in range(1, 25)) + "/leaf", 500)
    layer.file("deep2/" + "/".join("d%d" % i for i in range(1, 9)) + "/leaf", 500)
    for name in ODD_NAMES:
        layer.file(b"odd/" + name, 30)
        layer.file(b"odd/dirs/" + name + b"/in", 30)


def links(layer):
    for group in ("abc", "def", "ghi", "jkl", "mno", "pqr", "stu"):
        layer.file("links/" + group[0], 1000, 0o640, (11, 12))
        layer.link("links/" + group[0], "links/" + group[1])
        layer.link("links/" + group[0], "links/sub/" + group[2])
    layer.symlink("links/sym1", "nowhere", (5, 6))
    os.link(layer.path("links/sym1"), layer.path("links/sym2"), follow_symlinks=False)
    layer.node("links/fifo1", stat.S_IFIFO)
    layer.link("links/fifo1", "links/fifo2")


def special(layer):
    for i in range(1, 7):
        layer.symlink("special/sym%d" % i, "../files/small%d" % i, (5, 6))
        layer.node("special/fifo%d" % i, stat.S_IFIFO, owner=(i, i))
        layer.node("special/sock%d" % i, stat.S_IFSOCK, owner=(i, i), mode=0o775)
        layer.node("special/chr%d" % i, stat.S_IFCHR, os.makedev(1, 3), owner=(i, i))
        layer.node("special/blk%d" % i, stat.S_IFBLK, os.makedev(7, 200 + i))
    layer.symlink("special/long", "x/" * 500)
    layer.symlink("special/todir", "../merge")
    layer.symlink("special/absolute", "/etc/passwd")


def attributes(layer):
    for i in range(1, 5):
        layer.file("attrs/user%d" % i)
        layer.attr("attrs/user%d" % i, "user.note", b"value\0with zero")
        layer.attr("attrs/user%d" % i, "user.empty", b"")
        layer.file("attrs/trusted%d" % i)
        layer.attr("attrs/trusted%d" % i, "trusted.note", b"t" * 300)
        layer.file("attrs/security%d" % i)
        layer.attr("attrs/security%d" % i, "security.note", b"s")
        layer.file("attrs/acl%d" % i, mode=0o640)
        layer.attr("attrs/acl%d" % i, "system.posix_acl_access", acl(6, 4, 0, users=[(1234, 6)], mask=6))
        layer.dir("attrs/acldir%d" % i, 0o750, (3, 4))
        layer.attr("attrs/acldir%d" % i, "system.posix_acl_access", acl(7, 5, 0, groups=[(55, 5)], mask=7))
        layer.attr("attrs/acldir%d" % i, "system.posix_acl_default", acl(7, 5, 4, users=[(4321, 7)], mask=7))
        layer.file("attrs/acldir%d/child" % i)
        layer.file("attrs/cap%d" % i, mode=0o755)
        layer.attr("attrs/cap%d" % i, "security.capability", capability())
        layer.file("attrs/suid%d" % i, 100, 0o4757, (1, 1))
        layer.file("attrs/sgid%d" % i, 100, 0o2777, (1, 1))
        layer.dir("attrs/sgiddir%d" % i, 0o2777, (1, 77))
        layer.dir("attrs/sticky%d" % i, 0o1777)
        layer.file("attrs/sticky%d/roots" % i)
        layer.file("attrs/sticky%d/users" % i, owner=(1000, 1000))
        layer.file("attrs/mode0%d" % i, mode=0)
        layer.dir("attrs/private%d" % i, 0o700)
        layer.file("attrs/private%d/f" % i)
    layer.attr("attrs/user4", "user.big", pattern(2000, 1))
    layer.symlink("attrs/sym", "x")
    layer.attr("attrs/sym", "trusted.note", b"of a symlink")
    # An attribute of an overlay inside this one.
    layer.mark("attrs/trusted4", "overlay.note", b"escaped")


def marked(top, base):
    """Marks that a layer may hold: whiteouts, opaque directories, whiteouts as attributes."""
    for name in ("hidden/dev", "hidden/dir/x", "opaque/below", "opaque/sub/below", "xwh/gone", "xwh/stays"):
        base.file(name)
    top.whiteout("hidden/dev")
    top.whiteout("hidden/dir")
    top.file("opaque/above")
    top.file("opaque/sub/above")
    top.mark("opaque", "opaque", b"y")
    top.file("xwh/above")
    top.mark("xwh", "opaque", b"x")
    top.file("xwh/gone", 0)
    top.mark("xwh/gone", "whiteout", b"")


def flags(layer):
    for name, flag in (("immutable", IMMUTABLE), ("append", APPEND), ("noatime", NOATIME | SYNC)):
        for i in range(1, 4):
            layer.file("flags/%s%d" % (name, i))
    for i in range(1, 3):
        layer.file("flags/fixed%d/child" % i)
        layer.file("flags/grows%d/child" % i)


def set_all_flags(layer):
    """Last, since they forbid what comes before."""
    try:
        for i in range(1, 4):
            set_flags(layer.path("flags/immutable%d" % i), IMMUTABLE)
            set_flags(layer.path("flags/append%d" % i), APPEND)
            set_flags(layer.path("flags/noatime%d" % i), NOATIME | SYNC)
        for i in range(1, 3):
            set_flags(layer.path("flags/fixed%d" % i), IMMUTABLE)
            set_flags(layer.path("flags/grows%d" % i), APPEND)
    except OSError:
        pass  # a file system without flags


def main():
    top, base = Layer(sys.argv[1], 1, sys.argv[3]), Layer(sys.argv[2], 2, sys.argv[3])
    both(top, base)
    for part in (plain, links, special, attributes, flags):
        part(base)
    marked(top, base)
    for i in range(1, 3):
        top.file("files/top%d" % i, 100, 0o640, (9, 9))
    top.link("files/top1", "files/toplink1")
    top.age()
    base.age()
    set_all_flags(base)


if __name__ == "__main__":
    main()

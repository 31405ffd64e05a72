#!/usr/bin/env python3
"""Changes of every kind in a tree that exchange_layers.py made the layers of.

    exchange_steps.py ROOT 1|2 LOG      the first or the second half of the steps; each step's result goes to LOG

The second half goes on with what the first has left, and may be done by another program. A step that fails says so in
the log and the others go on: two programs that do the same have the same log. Where a directory can not be renamed
(EXDEV) it is moved as mv(1) does it, by copying.
"""
import ctypes
import errno
import mmap
import os
import shutil
import socket
import stat
import subprocess
import sys

from exchange_layers import APPEND, IMMUTABLE, NOATIME, ODD_NAMES, acl, pattern, set_flags

NOREPLACE, EXCHANGE = 1, 2
libc = ctypes.CDLL(None, use_errno=True)
steps = {1: [], 2: []}


def step(half):
    def add(function):
        steps[half].append(function)
        return function
    return add


# --- What steps are made of. Names are relative to the root of the tree, which is the working directory.

def put(name, data, flags=os.O_WRONLY | os.O_CREAT, at=None, mode=0o644):
    fd = os.open(name, flags, mode)
    try:
        if at is None:
            os.write(fd, data)
        else:
            os.pwrite(fd, data, at)
    finally:
        os.close(fd)


def new(name, size=100, seed=1):
    put(name, pattern(size, seed), os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def over(name, size=100, seed=2):
    put(name, pattern(size, seed), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)


def append(name, data=b"appended"):
    put(name, data, os.O_WRONLY | os.O_APPEND)


def renameat2(old, new_name, flags):
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new_name), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def linkat(old, new_name):
    """os.link does not follow links, whatever it is told."""
    if libc.linkat(-100, os.fsencode(old), -100, os.fsencode(new_name), 0x400) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def move(old, new_name):
    """A rename, or what mv makes of it where a directory can not be renamed."""
    try:
        os.rename(old, new_name)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        subprocess.run(["mv", "-T", "--", old, new_name], check=True)
        return "copied"


def exchange(a, b):
    try:
        renameat2(a, b, EXCHANGE)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        for old, new_name in ((a, "exchange.tmp"), (b, a), ("exchange.tmp", b)):
            subprocess.run(["mv", "-T", "--", old, new_name], check=True)
        return "copied"


def remove(name):
    if os.path.isdir(name) and not os.path.islink(name):
        for entry in sorted(os.listdir(name)):
            remove(os.path.join(name, entry))
        os.rmdir(name)
    else:
        os.unlink(name)


def past(name, seconds=1_100_000_000, nanoseconds=123_456_789):
    when = seconds * 10**9 + nanoseconds
    os.utime(name, ns=(when, when), follow_symlinks=False)


def as_user(function, uid=1000):
    """Its error, or None: done by another user."""
    child = os.fork()
    if child == 0:
        code = 0
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            function()
        except OSError as error:
            code = error.errno
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise OSError(code, os.strerror(code))


def must_fail(numbers, function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        if error.errno not in numbers:
            raise
        return "refused"
    return "NOT REFUSED"


def bind(name):
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(name)


def several(*functions):
    """Each of them, whatever becomes of the others; one result."""
    results = []
    for function in functions:
        try:
            results.append(function() or "ok")
        except OSError as error:
            results.append(errno.errorcode.get(error.errno, "?"))
        except subprocess.CalledProcessError:
            results.append("mv failed")
    return " ".join(results)


# --- The first half

@step(1)
def create_files():
    new("created")
    new("merge/created", 5000)
    new("merge/sub/deeper/created", 300_000)
    put("files/private", b"x", mode=0o600)
    os.chown("files/private", 12, 34)


@step(1)
def create_as_user():
    os.chmod("attrs/sgiddir1", 0o2777)
    as_user(lambda: new("attrs/sgiddir1/by user"))
    as_user(lambda: os.mkdir("attrs/sgiddir2/dir by user"))
    return must_fail([errno.EACCES], as_user, lambda: new("files/not allowed"))


@step(1)
def umask_and_setgid():
    old = os.umask(0o077)
    try:
        new("masked")
        os.mkdir("masked dir")
        os.mkdir("attrs/sgiddir3/inherits")
        new("attrs/sgiddir3/inherits too")
    finally:
        os.umask(old)


@step(1)
def default_acl_inherited():
    new("attrs/acldir1/new file")
    os.mkdir("attrs/acldir1/new dir")
    os.mkfifo("attrs/acldir1/new fifo")


@step(1)
def overwrite():
    over("files/small1", 500)
    over("files/both", 70_000)
    over("files/large1", 10)


@step(1)
def append_to_lower():
    append("files/small2")
    append("files/large2", b"a" * 10_000)


@step(1)
def write_in_the_middle():
    put("files/large3", b"middle", os.O_RDWR, 150_000)
    put("files/sparse1", b"middle", os.O_RDWR, 2 << 20)
    put("files/empty", b"no longer", os.O_RDWR, 100)


@step(1)
def truncate():
    os.truncate("files/small3", 10)
    os.truncate("files/small4", 10_000)
    os.truncate("files/large4", 0)
    os.truncate("files/sparse2", 5 << 20)


@step(1)
def chmod_files():
    os.chmod("files/small5", 0o4711)
    os.chmod("files/large5", 0o600)
    os.chmod("attrs/mode01", 0o444)


@step(1)
def chown_files():
    os.chown("files/small6", 1001, -1)
    os.chown("files/small7", -1, 1002)
    os.chown("attrs/suid1", 500, 500)
    os.chown("attrs/cap1", 500, 500)
    os.chown("files/sparse3", 3, 3)


@step(1)
def set_times():
    past("files/small8")
    past("files/large6", 1_111_111_111, 999_999_999)
    past("files/small9", -1, 1)
    os.utime("files/small10", ns=(0, os.stat("files/small10").st_mtime_ns))


@step(1)
def xattrs():
    os.setxattr("attrs/user1", "user.new", b"v" * 100)
    os.setxattr("attrs/user2", "user.note", b"replaced", os.XATTR_REPLACE)
    os.removexattr("attrs/user3", "user.note")
    os.setxattr("attrs/trusted1", "trusted.more", b"")
    os.removexattr("attrs/trusted2", "trusted.note")
    os.setxattr("attrs/security1", "security.other", b"o")
    os.setxattr("attrs/sym", "trusted.more", b"m", follow_symlinks=False)
    return must_fail([errno.ENODATA], os.removexattr, "files/small11", "user.none")


@step(1)
def xattrs_of_directories():
    os.setxattr("merge", "user.dir", b"d")
    os.setxattr("ren", "trusted.dir", b"d")
    os.setxattr("attrs", "security.dir", b"d")


@step(1)
def acls():
    os.setxattr("files/small12", "system.posix_acl_access", acl(6, 0, 0, users=[(77, 4)], mask=4))
    os.setxattr("attrs/acl1", "system.posix_acl_access", acl(7, 7, 7, groups=[(78, 1)], mask=7))
    os.removexattr("attrs/acl2", "system.posix_acl_access")
    os.chmod("attrs/acl3", 0o600)
    os.setxattr("merge/sub", "system.posix_acl_default", acl(7, 0, 0, users=[(77, 7)], mask=7))
    os.mkdir("merge/sub/inherits")
    new("merge/sub/inherits/file")
    os.removexattr("attrs/acldir2", "system.posix_acl_default")
    os.chmod("attrs/acldir3", 0o700)


@step(1)
def writes_take_privileges():
    as_user(lambda: append("attrs/suid2"))
    as_user(lambda: os.truncate("attrs/sgid2", 5))
    as_user(lambda: over("attrs/suid3"))
    append("attrs/suid4")
    append("attrs/cap2")


@step(1)
def special_attributes():
    os.chmod("special/fifo1", 0o604)
    os.chown("special/sock1", 8, 8)
    os.chown("special/chr1", 8, 8)
    os.chmod("special/blk1", 0o604)
    os.chown("special/sym1", 8, 8, follow_symlinks=False)
    past("special/sym2")
    past("special/fifo2")
    os.utime("special/todir", ns=(5, 5), follow_symlinks=False)


@step(1)
def special_names():
    os.rename("special/fifo3", "special/fifo moved")
    os.rename("special/sock3", "merge/sock moved")
    os.rename("special/chr3", "special/chr moved")
    os.rename("special/blk3", "blk moved")
    os.rename("special/sym3", "merge/sub/sym moved")
    os.rename("special/long", "special/long moved")
    os.link("special/fifo4", "special/fifo linked")
    os.link("special/sym4", "special/sym linked", follow_symlinks=False)
    for kind in ("fifo", "sock", "chr", "blk", "sym"):
        os.unlink("special/%s5" % kind)


@step(1)
def make_special():
    os.mkfifo("special/new fifo")
    bind("special/new socket")
    os.mknod("special/new chr", stat.S_IFCHR | 0o640, os.makedev(1, 5))
    os.mknod("special/new blk", stat.S_IFBLK | 0o640, os.makedev(7, 300))
    os.symlink("t" * 1000, "special/new symlink")
    os.mknod("special/fifo5", stat.S_IFREG | 0o600)


@step(1)
def a_whiteout_can_not_be_made():
    return several(lambda: os.mknod("files/white", stat.S_IFCHR | 0o600, 0))


@step(1)
def unlink_files():
    os.unlink("files/small13")
    os.unlink("files/both2")
    os.unlink("merge/both")
    os.unlink("merge/created")
    os.unlink("files/top2")
    return several(lambda: os.unlink("files/small13"), lambda: os.unlink("merge"))


@step(1)
def over_a_whiteout():
    os.unlink("files/small14")
    new("files/small14", 77, 3)
    os.unlink("files/small15")
    os.mkdir("files/small15")
    new("files/small15/in")
    os.unlink("files/small16")
    os.symlink("x", "files/small16")
    os.unlink("files/small17")
    os.rename("files/small18", "files/small17")
    os.unlink("files/small19")
    os.link("files/small20", "files/small19")


@step(1)
def remove_directories():
    os.rmdir("empty/both1")
    remove("again1")
    remove("ren/l1/sub")
    return several(lambda: os.rmdir("merge"), lambda: os.rmdir("files/small21"), lambda: os.mkdir("merge"))


@step(1)
def opaque_directories():
    for name in ("again2", "again3", "merge/sub/deeper", "clash2", "again4/nest"):
        remove(name)
        os.mkdir(name)
    new("again3/from1")
    os.mkdir("again3/nest")
    new("again3/nest/own")
    os.chmod("again2", 0o700)
    os.mkdir("merge/sub/deeper/more")


@step(1)
def files_and_directories_replaced():
    os.unlink("clash")
    os.mkdir("clash")
    new("clash/own")
    remove("again5")
    new("again5")
    os.unlink("files/small22")
    os.mkdir("files/small22")
    os.rmdir("files/small22")
    new("files/small22")
    return several(lambda: os.rename("files/small23", "merge"), lambda: os.rename("ren/m1", "files/small23"))


@step(1)
def rename_files():
    os.rename("files/small24", "files/small25")
    os.rename("files/small26", "merge/top")
    os.rename("created", "files/small27")
    os.rename("merge/base", "merge/base moved")
    os.rename("files/top1", "files/top moved")
    os.rename("attrs/acl4", "attrs/acl moved")
    os.rename("attrs/cap3", "cap moved")
    os.rename("files/sparse4", "files/sparse moved")


@step(1)
def rename_noreplace():
    renameat2("files/small28", "files/small28 moved", NOREPLACE)
    return several(lambda: renameat2("files/small29", "files/small30", NOREPLACE),
                   lambda: renameat2("files/small30", "files/small31", NOREPLACE))


@step(1)
def rename_own_directories():
    os.makedirs("own/a/b")
    new("own/a/b/f")
    os.makedirs("own/empty")
    os.rename("own/a", "own/empty")
    os.mkdir("own2")
    new("own2/f")
    remove("again6")
    return several(lambda: move("own2", "again6"), lambda: move("own", "empty/both2"))


@step(1)
def rename_lower_directories():
    return several(lambda: move("ren/l2", "ren/l2 moved"), lambda: move("ren/l3", "merge/l3 moved"),
                   lambda: move("ren/l4/sub", "ren/l4/sub moved"), lambda: move("deep2/d1/d2", "deep2/d2 moved"))


@step(1)
def rename_merged_directories():
    return several(lambda: move("ren/m2", "ren/m2 moved"), lambda: move("ren/m3", "m3 moved"),
                   lambda: move("ren/m4/sub", "ren/m4/sub moved"), lambda: move("ren/m4", "ren/l5/m4"))


@step(1)
def rename_directory_over_directory():
    for name in ("ren/m5/sub", "ren/l6/sub"):
        remove(name)
    os.mkdir("ren/own")
    new("ren/own/f")
    return several(lambda: move("ren/own", "ren/m5/sub"), lambda: os.mkdir("ren/l6/sub"),
                   lambda: move("ren/m6/sub", "ren/l6/sub"),
                   lambda: must_fail([errno.ENOTEMPTY, errno.EXDEV], os.rename, "ren/l7/sub", "ren/m7/sub"))


@step(1)
def rename_renamed():
    return several(lambda: move("ren/m2 moved", "ren/m2 again"), lambda: move("merge/l3 moved", "l3 again"),
                   lambda: move("l3 again/sub", "l3 sub out"), lambda: os.rename("ren/m2 again/from2", "out of m2"),
                   lambda: move("ren/m2 again/sub", "files/sub of m2"))


@step(1)
def change_renamed():
    os.chmod("ren/m2 again", 0o711)
    os.chown("ren/l2 moved", 44, 44)
    append("ren/l2 moved/sub/leaf")
    os.unlink("ren/l2 moved/file")
    new("ren/l2 moved/own")
    new("ren/l2 moved/sub/own")
    new("ren/m2", 10)
    os.mkdir("ren/l2")
    new("ren/l2/in the new one")


@step(1)
def exchange_files():
    exchange("files/large5", "files/sparse3")
    new("mine")
    exchange("mine", "files/small31")
    exchange("special/sym6", "special/fifo6")
    exchange("special/chr4", "special/blk4")


@step(1)
def exchange_directories():
    os.mkdir("mine dir")
    new("mine dir/f")
    return several(lambda: exchange("ren/l8", "ren/l9"), lambda: exchange("ren/m8", "ren/l10"),
                   lambda: exchange("ren/m9", "ren/m10"), lambda: exchange("mine dir", "ren/l11"),
                   lambda: exchange("mine", "ren/m11"), lambda: exchange("special/sock4", "ren/l12/sub"))


@step(1)
def hard_links():
    os.link("files/small29", "files/small29 linked")
    os.link("files/private", "merge/private linked")
    os.link("files/both1", "ren/both1 linked")
    append("ren/both1 linked")


@step(1)
def lower_hard_links():
    os.chown("links/a", 99, 99)
    append("links/sub/f")
    os.unlink("links/g")
    os.rename("links/j", "links/j moved")
    os.link("links/m", "links/m linked")
    os.rename("links/p", "links/q")
    over("links/sub/u", 20)
    os.chown("links/sym1", 7, 7, follow_symlinks=False)
    os.chmod("links/fifo2", 0o604)


@step(1)
def nameless_file():
    fd = os.open("files", os.O_TMPFILE | os.O_RDWR, 0o640)
    os.write(fd, b"nameless")
    try:
        linkat("/proc/self/fd/%d" % fd, "merge/named now")
        os.write(fd, b", then named")
    finally:
        os.close(fd)


@step(1)
def allocate():
    fd = os.open("files/both1", os.O_RDWR)
    os.posix_fallocate(fd, 0, 50_000)
    os.close(fd)
    subprocess.run(["fallocate", "-p", "-o", "8192", "-l", "65536", "files/large2"], check=True)
    subprocess.run(["fallocate", "-n", "-l", "900000", "files/large3"], check=True)


def copy_range(source, target, size, at, to):
    """As cp does: overlayfs over file systems that can share data has EXDEV where the two files are not on one."""
    try:
        return os.copy_file_range(source, target, size, at, to)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return os.pwrite(target, os.pread(source, size, at), to)


@step(1)
def copy_ranges():
    source, target = os.open("files/large6", os.O_RDONLY), os.open("files/copied", os.O_CREAT | os.O_WRONLY, 0o644)
    done = 0
    while copied := copy_range(source, target, 1 << 20, done, done):
        done += copied
    os.close(target)
    target = os.open("attrs/trusted3", os.O_RDWR)
    copy_range(source, target, 500, 1000, 50)
    os.close(target)
    os.close(source)


@step(1)
def mapped_write():
    fd = os.open("attrs/security2", os.O_RDWR)
    with mmap.mmap(fd, 0) as memory:
        memory[10:16] = b"mapped"
        memory.flush()
    os.close(fd)


@step(1)
def open_and_unlinked():
    fd = os.open("attrs/user4", os.O_RDWR)
    os.unlink("attrs/user4")
    os.write(fd, b"into nowhere")
    os.fchmod(fd, 0o600)
    size = os.fstat(fd).st_size
    os.close(fd)
    return str(size)


@step(1)
def sticky_directories():
    as_user(lambda: os.unlink("attrs/sticky1/users"))
    return must_fail([errno.EPERM], as_user, lambda: os.unlink("attrs/sticky1/roots"))


@step(1)
def flags():
    append("flags/append1", b"more")
    return several(lambda: os.chmod("flags/immutable1", 0o600), lambda: over("flags/append2"),
                   lambda: os.unlink("flags/immutable2"), lambda: os.unlink("flags/append2"),
                   lambda: append("flags/fixed1/child"), lambda: new("flags/fixed1/new"),
                   lambda: new("flags/grows1/new"), lambda: os.unlink("flags/grows1/child"),
                   lambda: os.chmod("flags/noatime1", 0o600))


@step(1)
def change_flags():
    return several(lambda: set_flags("flags/noatime2", remove=NOATIME), lambda: set_flags("files/copied", add=APPEND),
                   lambda: set_flags("flags/immutable3", remove=IMMUTABLE), lambda: over("flags/immutable3"))


@step(1)
def odd_names():
    for number, name in enumerate(ODD_NAMES):
        name = b"odd/" + name
        if number % 3 == 0:
            put(name, b"changed", os.O_WRONLY)
        elif number % 3 == 1:
            os.unlink(name)
        else:
            os.rename(name, b"odd/moved %d" % number)


@step(1)
def odd_directories():
    results = []
    for number, name in enumerate(ODD_NAMES):
        folder = b"odd/dirs/" + name
        if number % 3 == 0:
            results.append(several(lambda: move(folder, b"odd/dirs/moved %d" % number)))
        elif number % 3 == 1:
            remove(folder)
            os.mkdir(folder)
        else:
            new(folder + b"/new")
    new(b"odd/" + b"m" * 255)
    return " ".join(results)


@step(1)
def deep_path():
    os.chmod("deep/" + "/".join("d%d" % i for i in range(1, 25)) + "/leaf", 0o600)
    return several(lambda: move("deep/d1/d2/d3", "deep/d3 moved"))


@step(1)
def change_directories():
    os.chmod("merge", 0o700)
    os.chown("ren/m12", 12, 12)
    past("ren/m12")
    past("ren/l12")
    os.chmod("attrs/private1", 0o500)
    append("attrs/private2/f")
    os.chmod("hidden", 0o700)


@step(1)
def marks_of_the_lower():
    new("hidden/dev")
    os.mkdir("hidden/dir")
    new("opaque/below")
    os.mkdir("xwh/new")
    return several(lambda: new("xwh/gone"))


@step(1)
def the_root_itself():
    os.chmod(".", 0o751)
    os.setxattr(".", "user.root", b"r")


# --- The second half: on what the first has left

@step(2)
def create_again():
    new("second")
    new("files/small13")
    new("merge/both")
    os.mkdir("again1")
    new("again1/second")
    os.mkdir("empty/both1")


@step(2)
def change_what_was_changed():
    append("files/small1")
    os.truncate("files/both", 100)
    append("files/small2", b"again")
    os.chmod("files/small5", 0o600)
    append("files/small5")
    append("files/large1")
    os.chown("files/small6", 0, 0)


@step(2)
def write_where_only_attributes_changed():
    put("files/sparse3", b"second", os.O_RDWR, 1 << 20)
    append("files/large5")
    append("attrs/acl3")
    put("attrs/mode01", b"second", os.O_WRONLY)
    os.truncate("files/small7", 5)
    append("files/small8")
    over("files/large6", 20)


@step(2)
def attributes_again():
    os.removexattr("attrs/user1", "user.new")
    os.setxattr("attrs/trusted2", "trusted.note", b"back")
    os.setxattr("attrs/acl2", "system.posix_acl_access", acl(6, 6, 6, users=[(1, 7)], mask=7))
    os.removexattr("merge", "user.dir")
    past("files/small9", 1_200_000_000, 5)
    past("merge", 1_200_000_000, 6)


@step(2)
def hard_links_again():
    append("links/b", b"second")
    append("links/d", b"second")
    os.unlink("links/sub/i")
    os.chmod("links/k", 0o600)
    os.unlink("links/m linked")
    append("links/sub/o", b"second")
    os.rename("links/s", "links/s moved")
    append("links/t", b"second")
    os.chown("links/sym2", 9, 9, follow_symlinks=False)
    append("files/small29 linked")
    os.unlink("files/private")


@step(2)
def renamed_directories_again():
    return several(lambda: move("ren/m2 again", "ren/m2 third"), lambda: move("ren/l2 moved", "merge/l2 third"),
                   lambda: move("m3 moved/sub", "sub of m3"), lambda: move("ren/l5", "l5 moved"),
                   lambda: move("l3 sub out", "ren/l3"), lambda: os.rename("merge/l2 third/link", "link of l2"))


@step(2)
def renamed_directories_changed():
    append("ren/m2 third/from1")
    append("sub of m3/leaf2")
    os.unlink("merge/l2 third/sub/leaf")
    os.chmod("ren/l3/leaf", 0o600)
    os.mkdir("m3 moved/sub")
    new("m3 moved/sub/leaf1")
    append("l5 moved/m4/sub moved/both")


@step(2)
def renamed_directories_removed():
    return several(lambda: remove("ren/l4/sub moved"), lambda: os.mkdir("ren/l4/sub moved"),
                   lambda: remove("deep2/d2 moved"), lambda: os.mkdir("deep2/d1/d2"), lambda: remove("m3 moved"),
                   lambda: new("m3 moved"))


@step(2)
def renamed_and_back():
    return several(lambda: move("files/sub of m2", "ren/m2 third/sub"), lambda: os.unlink("ren/m2"),
                   lambda: move("ren/m2 third", "ren/m2"), lambda: remove("ren/l2"),
                   lambda: move("merge/l2 third", "ren/l2"), lambda: os.rename("out of m2", "ren/m2/from2"))


@step(2)
def exchange_again():
    return several(lambda: exchange("ren/l8", "ren/l9"), lambda: exchange("ren/m8", "merge/sub"),
                   lambda: exchange("ren/m9", "files/small31"), lambda: exchange("ren/m10/sub", "ren/m12/sub"),
                   lambda: exchange("special/sym6", "again4/nest"))


@step(2)
def opaque_again():
    remove("again2")
    remove("again3/nest")
    os.mkdir("again3/nest")
    new("again4/nest/from2") if os.path.isdir("again4/nest") else None
    os.rmdir("merge/sub/deeper/more") if os.path.isdir("merge/sub/deeper/more") else None
    return several(lambda: move("again3", "again3 moved"), lambda: move("again7", "again2"),
                   lambda: remove("opaque/sub"), lambda: os.mkdir("opaque/sub"), lambda: move("opaque", "opaque moved"))


@step(2)
def kinds_again():
    remove("clash")
    new("clash")
    os.unlink("again5")
    os.mkdir("again5")
    remove("files/small15")
    os.unlink("files/small16")
    os.symlink("y", "special/sym.tmp")
    os.rename("special/sym.tmp", "special/sym2")
    os.rename("special/new fifo", "special/fifo1")


@step(2)
def remove_a_lot():
    # But not xwh: the kernel's overlayfs finds a directory not empty once whiteouts of both forms are in it.
    return several(lambda: remove("attrs/private3"), lambda: remove("hidden"), lambda: os.mkdir("hidden"),
                   lambda: remove("ren/m7"), lambda: remove("odd/dirs"),
                   lambda: os.mkdir("odd/dirs"))


@step(2)
def flags_again():
    return several(lambda: append("flags/append1"), lambda: append("files/copied"),
                   lambda: set_flags("files/copied", remove=APPEND), lambda: os.unlink("files/copied"),
                   lambda: append("flags/fixed1/child"), lambda: set_flags("flags/fixed2", remove=IMMUTABLE),
                   lambda: new("flags/fixed2/new"), lambda: set_flags("files/large4", add=NOATIME))


@step(2)
def deep_again():
    return several(lambda: append("deep/d3 moved/" + "/".join("d%d" % i for i in range(4, 25)) + "/leaf"),
                   lambda: move("deep/d3 moved/d4", "deep/d1/d4"), lambda: move("deep", "deep moved"))


@step(2)
def a_whole_tree_changes_owner():
    for folder, dirs, files in os.walk("attrs"):
        for name in sorted(dirs + files):
            os.chown(os.path.join(folder, name), 2000, 2000, follow_symlinks=False)


@step(2)
def copy_a_tree():
    shutil.copytree("ren/m12", "copy of m12", symlinks=True)
    remove("ren/m12")
    return several(lambda: move("copy of m12", "ren/m12"))


def main():
    root, half, log = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    log = open(log, "a")
    os.umask(0o022)
    os.chdir(root)
    first = 1 if half == 1 else 1 + len(steps[1])
    for number, function in enumerate(steps[half], first):
        try:
            result = function() or "ok"
        except OSError as error:
            result = "%s %s" % (errno.errorcode.get(error.errno, error.errno), error.filename or "")
        except subprocess.CalledProcessError as error:
            result = "failed: %s" % error.cmd
        log.write("%02d %s: %s\n" % (number, function.__name__, result))
        log.flush()


if __name__ == "__main__":
    main()

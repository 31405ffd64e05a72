#include "sys/cred.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <algorithm>
#include <chrono>
#include <sstream>
#include <thread>
#include <vector>

#include "scratch.h"
#include "sys/xattr.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

constexpr uid_t kUid = 12345;
constexpr gid_t kGid = 23456;
constexpr gid_t kTeam = 34567;  // a supplementary group

// The lines of /proc/thread-self/status that name credentials.
std::string credentials() {
    std::ifstream in("/proc/thread-self/status");
    std::string line, out;
    while (std::getline(in, line)) {
        for (const char* key : {"Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:"}) {
            if (line.starts_with(key)) out += line + "\n";
        }
    }
    return out;
}

std::string line_of(const std::string& status, const std::string& key) {
    std::istringstream in(status);
    std::string line;
    while (std::getline(in, line)) {
        if (line.starts_with(key)) return line;
    }
    return {};
}

unsigned long long effective_caps() {
    return std::stoull(line_of(credentials(), "CapEff:").substr(8), nullptr, 16);
}
bool has_cap(int cap) {
    return effective_caps() >> cap & 1;
}

// u::rwx g::rwx g:23456:r-x m::rwx o::--- as the kernel stores it: a default ACL that differs from any
// umask's result.
void set_default_acl(const std::string& dir) {
    struct Entry {
        std::uint16_t tag, perm;
        std::uint32_t id;
    };
    struct {
        std::uint32_t version = 2;
        Entry entries[5] = {{1, 7, ~0u}, {4, 7, ~0u}, {8, 5, kGid}, {16, 7, ~0u}, {32, 0, ~0u}};
    } acl;
    REQUIRE(::setxattr(dir.c_str(), "system.posix_acl_default", &acl, sizeof acl, 0) == 0);
}

// Makes one object of each sort in `dir`; the modes matter, not the success.
void make_objects(const std::string& dir) {
    for (const mode_t mode : {0666, 0777, 02775, 04711, 06777}) {
        const std::string name = dir + "/file" + std::to_string(mode);
        UniqueFd fd(::open(name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode));
        ::mknod((dir + "/fifo" + std::to_string(mode)).c_str(), S_IFIFO | mode, 0);
        ::mkdir((dir + "/dir" + std::to_string(mode)).c_str(), mode);
    }
    ::symlink("x", (dir + "/link").c_str());
}

// Owner, mode and ACL of everything in `dir`, as text.
std::string describe(const std::string& dir) {
    std::vector<std::string> lines;
    for (const auto& entry : std::filesystem::directory_iterator(dir)) {
        const struct stat st = lstat_or_fail(entry.path());
        std::ostringstream line;
        line << entry.path().filename().string() << std::oct << " " << st.st_mode << std::dec << " " << st.st_uid << ":"
             << st.st_gid;
        char acl[256];
        for (const char* name : {"system.posix_acl_access", "system.posix_acl_default"}) {
            const ssize_t n = ::lgetxattr(entry.path().c_str(), name, acl, sizeof acl);
            for (ssize_t i = 0; i < n; ++i) line << " " << static_cast<int>(acl[i]);
        }
        lines.push_back(line.str());
    }
    std::sort(lines.begin(), lines.end());
    std::string out;
    for (const std::string& line : lines) out += line + "\n";
    return out;
}

struct DirKind {
    const char* name;
    gid_t gid;
    mode_t mode;
    bool acl;
};
constexpr DirKind kDirKinds[] = {{"plain", 0, 0777, false},
                                 {"sgid-root", 0, 02777, false},
                                 {"sgid-team", kTeam, 02777, false},
                                 {"acl", 0, 0777, true},
                                 {"sgid-acl", kTeam, 02777, true}};

void make_dir_of(const DirKind& kind, const std::string& path) {
    REQUIRE(::mkdir(path.c_str(), 0700) == 0);
    REQUIRE(::chown(path.c_str(), 0, kind.gid) == 0);
    REQUIRE(::chmod(path.c_str(), kind.mode) == 0);
    if (kind.acl) set_default_acl(path);
}

void check_like_native(const std::string& base, const std::vector<gid_t>& groups, mode_t mask) {
    for (const DirKind& kind : kDirKinds) {
        const std::string tag = kind.name + std::to_string(mask) + std::to_string(groups.size());
        const std::string native = base + "/native-" + tag, ours = base + "/ours-" + tag;
        make_dir_of(kind, native);
        make_dir_of(kind, ours);
        const int rc = in_child([&] {
            // A thread that had a guard has the fix-up off, and its children with it: they would stay
            // capable.
            if (::prctl(PR_SET_SECUREBITS, 0) != 0) return 3;
            if (::setgroups(groups.size(), groups.data()) != 0) return 1;
            if (::setresgid(kGid, kGid, kGid) != 0 || ::setresuid(kUid, kUid, kUid) != 0) return 2;
            ::umask(mask);
            make_objects(native);
            return 0;
        });
        REQUIRE(rc == 0);
        {
            sys::ActAs guard({.uid = kUid, .gid = kGid, .pid = 0, .umask = mask}, groups);
            REQUIRE(guard.status());
            make_objects(ours);
        }
        INFO(tag << " umask " << mask);
        CHECK(describe(ours) == describe(native));
        CHECK(describe(ours).size() > 300);
    }
}

bool skip_without_root() {
    if (is_root() && sys::can_act_as_callers()) return false;
    MESSAGE("skipped: not root");
    return true;
}

void check_guards_restore() {
    { sys::ActAs first({}); }  // thread initialisation
    const std::string before = credentials();
    const std::vector<gid_t> groups = {kTeam, 7};
    {
        sys::ActAs outer({.uid = kUid, .gid = kGid}, groups);
        REQUIRE(outer.status());
        const std::string as_user = credentials();
        CHECK(line_of(as_user, "Uid:") == "Uid:\t0\t0\t0\t12345");
        CHECK(line_of(as_user, "Gid:") == "Gid:\t0\t0\t0\t23456");
        CHECK(line_of(as_user, "Groups:") == "Groups:\t7 34567 ");
        CHECK_FALSE(has_cap(CAP_FSETID));
        CHECK_FALSE(has_cap(CAP_SYS_RESOURCE));
        for (int cap : {CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_CHOWN, CAP_MKNOD, CAP_SETFCAP}) {
            CHECK(has_cap(cap));
        }
        {
            sys::RegistrationCred inner;
            REQUIRE(inner.status());
            CHECK(line_of(credentials(), "Uid:") == "Uid:\t0\t0\t0\t4294967294");
            CHECK(has_cap(CAP_FSETID));
            CHECK_FALSE(has_cap(CAP_SYS_RESOURCE));
        }
        CHECK(credentials() == as_user);
        {
            sys::ActAs daemon({});
            CHECK(credentials() == before);
        }
        CHECK(credentials() == as_user);
    }
    CHECK(credentials() == before);
    {
        sys::ActAs trusting({.uid = kUid, .gid = kGid}, sys::SgidRule::by_mount);
        CHECK(has_cap(CAP_FSETID));
    }
    CHECK(credentials() == before);
    {
        sys::ActAs nobody({.uid = static_cast<uid_t>(-1), .gid = kGid});
        CHECK(nobody.status().failed_with(EOVERFLOW));
        CHECK(credentials() == before);
    }
    CHECK(credentials() == before);
}

// A thread may live in RegistrationCred and come out of it as the daemon or a caller for a while.
void check_resting_in_registration() {
    { sys::ActAs first({}); }
    const std::string before = credentials();
    {
        sys::RegistrationCred resting;
        const std::string at_rest = credentials();
        {
            sys::RegistrationCred again;
            CHECK(credentials() == at_rest);
        }
        {
            sys::ActAs daemon({});
            CHECK(credentials() == before);
        }
        {
            sys::ActAs user({.uid = kUid, .gid = kGid});
            CHECK(line_of(credentials(), "Uid:") == "Uid:\t0\t0\t0\t12345");
            CHECK_FALSE(has_cap(CAP_FSETID));
        }
        CHECK(credentials() == at_rest);
    }
    CHECK(credentials() == before);
}

template <typename F>
double nanoseconds_each(F f) {
    constexpr int kRounds = 20000;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kRounds; ++i) f();
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / kRounds;
}

}  // namespace

TEST_CASE("objects made as a caller equal those of a process of that user") {
    if (skip_without_root()) return;
    for (const char* where : {"/tmp", "/dev/shm"}) {
        ScratchDir scratch(where);
        REQUIRE(::chmod(scratch.path().c_str(), 0777) == 0);
        for (const mode_t mask : {0, 022, 077}) {
            check_like_native(scratch.path(), {}, mask);
            check_like_native(scratch.path(), {kTeam}, mask);
        }
    }
}

TEST_CASE("chmod and writing under a guard clear sgid and suid as for the caller") {
    if (skip_without_root()) return;
    ScratchDir scratch;
    auto fd = open_or_fail(scratch / "f", O_CREAT | O_RDWR);
    REQUIRE(::fchown(fd.get(), kUid, 0) == 0);
    {
        sys::ActAs guard({.uid = kUid, .gid = kGid});
        REQUIRE(::fchmod(fd.get(), 06755) == 0);
    }
    CHECK((lstat_or_fail(scratch / "f").st_mode & 07777) == 04755);
    REQUIRE(::fchmod(fd.get(), 06755) == 0);
    {
        sys::RegistrationCred guard;
        REQUIRE(::pwrite(fd.get(), "x", 1, 0) == 1);
    }
    CHECK((lstat_or_fail(scratch / "f").st_mode & 07777) == 06755);
    {
        sys::ActAs guard({.uid = kUid, .gid = kGid});
        REQUIRE(::pwrite(fd.get(), "x", 1, 0) == 1);
    }
    CHECK((lstat_or_fail(scratch / "f").st_mode & 07777) == 0755);
}

TEST_CASE("guards nest and restore the thread's credentials exactly") {
    if (skip_without_root()) return;
    check_guards_restore();
    check_resting_in_registration();
    std::thread(check_guards_restore).join();
}

TEST_CASE("guards restore exactly also where the set-uid fix-up can not be switched off") {
    if (skip_without_root()) return;
    std::thread([] {
        __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        __user_cap_data_struct data[2] = {};
        REQUIRE(::syscall(SYS_capget, &header, data) == 0);
        data[0].effective &= ~(1u << CAP_SETPCAP);
        data[0].permitted &= ~(1u << CAP_SETPCAP);
        REQUIRE(::syscall(SYS_capset, &header, data) == 0);
        check_guards_restore();
    }).join();
}

TEST_CASE("the umask belongs to the thread") {
    const mode_t before = ::umask(0);
    ::umask(before);
    std::thread([] {
        sys::ActAs guard({.uid = 0, .gid = 0, .pid = 0, .umask = 0123});
        REQUIRE(guard.status());
        ScratchDir scratch;
        REQUIRE(::mkdir((scratch / "d").c_str(), 0777) == 0);
        CHECK((lstat_or_fail(scratch / "d").st_mode & 0777) == 0654);
    }).join();
    const mode_t after = ::umask(0);
    ::umask(after);
    CHECK(after == before);
}

TEST_CASE("attributes of O_PATH descriptors are reached under a guard") {
    if (skip_without_root()) return;
    ScratchDir scratch;
    REQUIRE(::chmod(scratch.path().c_str(), 0700) == 0);
    auto file = open_or_fail(scratch / "f", O_CREAT | O_RDWR, 0600);
    auto path = open_or_fail(scratch / "f", O_PATH);
    sys::ActAs guard({.uid = kUid, .gid = kGid});
    const std::byte one[1] = {};
    CHECK(sys::set_xattr(path, "user.t", one));
    CHECK(sys::set_xattr(path, "trusted.t", one));
    CHECK(*sys::get_xattr(path, "user.t", {}) == 1);
}

TEST_CASE("supplementary groups are read from a process") {
    CHECK(sys::read_groups(0).failed_with(ESRCH));
    CHECK(sys::read_groups(2147483647).failed_with(ESRCH));
    CHECK(sys::read_groups(::getpid()));
    if (skip_without_root()) return;
    std::vector<gid_t> many;
    for (gid_t gid = 100000; gid < 103000; ++gid) many.push_back(gid);
    for (const std::vector<gid_t>& groups : {std::vector<gid_t>{}, std::vector<gid_t>{5, kTeam}, many}) {
        const int rc = in_child([&] {
            if (::setgroups(groups.size(), groups.data()) != 0) return 1;
            return *sys::read_groups(::getpid()) == groups ? 0 : 2;
        });
        CHECK(rc == 0);
    }
}

TEST_CASE("a process that is not root has guards that do nothing but the umask") {
    if (skip_without_root()) return;
    std::thread([] {
        if (::syscall(SYS_setresuid, kUid, kUid, kUid) != 0) return;
        const std::string before = credentials();
        sys::ActAs guard({.uid = 1, .gid = 1, .pid = 0, .umask = 077});
        sys::RegistrationCred reserve;
        CHECK(guard.status());
        CHECK(reserve.status());
        CHECK(credentials() == before);
        CHECK_FALSE(sys::can_act_as_callers());
    }).join();
}

TEST_CASE("what a daemon has no use for is given up by the thread for good") {
    if (skip_without_root()) return;
    std::thread([] {
        REQUIRE(sys::drop_spare_privileges());
        for (const int cap : {CAP_SYS_RESOURCE, CAP_NET_ADMIN, CAP_SYS_MODULE, CAP_SYS_PTRACE, CAP_KILL}) {
            CAPTURE(cap);
            CHECK_FALSE(has_cap(cap));
            CHECK(::prctl(PR_CAPBSET_READ, cap) == 0);
        }
        for (const int cap : {CAP_SYS_ADMIN, CAP_DAC_OVERRIDE, CAP_SETUID, CAP_MKNOD}) CHECK(has_cap(cap));
        check_guards_restore();
    }).join();
}

TEST_CASE("what a guard costs") {
    if (skip_without_root()) return;
    const sys::Caller user{.uid = kUid, .gid = kGid};
    const std::vector<gid_t> groups = {kTeam};
    MESSAGE("ns per ActAs, root: " << nanoseconds_each([] { sys::ActAs guard({}); }));
    MESSAGE("ns per ActAs, user: " << nanoseconds_each([&] { sys::ActAs guard(user); }));
    MESSAGE(
        "ns per ActAs, user, by_mount: " << nanoseconds_each([&] { sys::ActAs guard(user, sys::SgidRule::by_mount); }));
    MESSAGE("ns per ActAs, user, groups: " << nanoseconds_each([&] { sys::ActAs guard(user, groups); }));
    MESSAGE("ns per RegistrationCred: " << nanoseconds_each([] { sys::RegistrationCred guard; }));
    {
        sys::RegistrationCred resting;
        MESSAGE("at rest, ns per ActAs, root: " << nanoseconds_each([] { sys::ActAs guard({}); }));
        MESSAGE("at rest, ns per RegistrationCred: " << nanoseconds_each([] { sys::RegistrationCred guard; }));
    }
    MESSAGE("ns per read_groups: " << nanoseconds_each([] { (void)sys::read_groups(::getpid()).has_value(); }));
    MESSAGE("ns per empty system call: " << nanoseconds_each([] { ::syscall(SYS_getppid); }));
}

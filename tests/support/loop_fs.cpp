#include "support/loop_fs.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"

namespace plyfs::test {
namespace {

// linux/fs.h can not be had beside sys/mount.h.
constexpr unsigned long kFreeze = _IOWR('X', 119, int), kThaw = _IOWR('X', 120, int);

// An attached loop device: keep fd open until it is mounted, then the mount keeps the device.
struct Loop {
    UniqueFd fd;
    std::string device;
};

UniqueFd open_device(const std::string& folder, int number, std::string& path) {
    path = "/dev/loop" + std::to_string(number);
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (fd.valid()) return fd;
    path = folder + "/loop" + std::to_string(number);
    if (::mknod(path.c_str(), S_IFBLK | 0600, makedev(7, static_cast<unsigned>(number))) != 0 && errno != EEXIST)
        return fd;
    return UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
}

Loop attach(const std::string& folder, const std::string& image, bool read_only) {
    UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    if (!control.valid()) skip("no /dev/loop-control here");
    UniqueFd backing(OK(::open(image.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC)));
    for (int attempt = 0; attempt < 50; attempt++) {
        int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
        if (number < 0) skip("no free loop device: " + errno_words(errno));
        Loop loop;
        loop.fd = open_device(folder, number, loop.device);
        if (!loop.fd.valid()) skip("can not open " + loop.device + ": " + errno_words(errno));
        loop_config config{};
        config.fd = static_cast<unsigned>(backing.get());
        config.info.lo_flags = LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0);
        if (::ioctl(loop.fd.get(), LOOP_CONFIGURE, &config) == 0) return loop;
        if (errno != EBUSY) skip("LOOP_CONFIGURE: " + errno_words(errno));
        nap(10);  // somebody else took that number
    }
    skip("every free loop device was taken by somebody else");
}

void make_image(const std::string& kind, const std::string& image, unsigned mib,
                const std::vector<std::string>& options) {
    std::string tool = "mkfs." + kind;
    if (!have_tool(tool)) skip("no " + tool + " here");
    UniqueFd fd(OK(::open(image.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)));
    OK(::ftruncate(fd.get(), static_cast<off_t>(mib) << 20));
    std::vector<std::string> argv{tool, "-q"};
    if (kind == "ext4") argv.insert(argv.end(), {"-F", "-b", "4096", "-m", "0"});
    if (kind == "xfs") argv.insert(argv.end(), {"-f"});
    if (kind == "btrfs") argv.insert(argv.end(), {"-f"});
    argv.insert(argv.end(), options.begin(), options.end());
    argv.push_back(image);
    must_run(argv);
}

}  // namespace

Mounted::Mounted(const std::string& source, const std::string& target, const std::string& type, unsigned long flags,
                 const std::string& data) {
    if (::mount(source.c_str(), target.c_str(), type.c_str(), flags, data.c_str()) != 0) {
        if (errno == ENODEV) skip("this kernel has no " + type);
        if (type == "overlay") need_privilege("overlayfs with redirects and trusted.*");
        detail::fail_call(("mount " + type + " " + source + " on " + target + " with " + data).c_str(), "", __FILE__,
                          __LINE__);
    }
    target_ = target;
}

Mounted& Mounted::operator=(Mounted&& other) noexcept {
    reset();
    target_.swap(other.target_);
    return *this;
}

void Mounted::reset() {
    if (target_.empty()) return;
    if (::umount2(target_.c_str(), UMOUNT_NOFOLLOW) != 0) ::umount2(target_.c_str(), MNT_DETACH);
    target_.clear();
}

int try_mount(const std::string& source, const std::string& target, const std::string& type, unsigned long flags,
              const std::string& data) {
    if (::mount(source.c_str(), target.c_str(), type.c_str(), flags, data.c_str()) != 0) return errno;
    ::umount2(target.c_str(), MNT_DETACH);
    return 0;
}

LoopFs::LoopFs(const std::string& kind, const std::string& folder, const std::string& name, unsigned mib,
               const std::vector<std::string>& mkfs_options, const std::string& mount_options) {
    std::string target = folder + "/" + name, image = target + ".img";
    OK(::mkdir(target.c_str(), 0755));
    // Without privilege there is no disk to mount; a tmpfs does most of what ext4 is asked for.
    if (kind == "tmpfs" || (kind == "ext4" && is_unprivileged() && mkfs_options.empty() && mount_options.empty())) {
        mounted_ = Mounted("tmpfs", target, "tmpfs", 0, "mode=0755,size=" + std::to_string(mib) + "M");
        return;
    }
    if (kind == "ramfs") {
        mounted_ = Mounted("ramfs", target, kind, 0, "mode=0755");
        return;
    }
    need_privilege(kind);
    make_image(kind, image, mib, mkfs_options);
    Loop loop = attach(folder, image, false);
    mounted_ = Mounted(loop.device, target, kind, 0, mount_options);
    OK(::chmod(target.c_str(), 0755));
}

LoopFs LoopFs::squashfs(const std::string& folder, const std::string& name, const std::string& source) {
    need_privilege("squashfs");
    if (!have_tool("mksquashfs")) skip("no mksquashfs here");
    std::string target = folder + "/" + name, image = target + ".img";
    must_run({"mksquashfs", source, image, "-quiet", "-no-progress", "-comp", "gzip"});
    OK(::mkdir(target.c_str(), 0755));
    Loop loop = attach(folder, image, true);
    LoopFs fs;
    fs.mounted_ = Mounted(loop.device, target, "squashfs", MS_RDONLY, "");
    return fs;
}

LoopFs LoopFs::of_image(const std::string& kind, const std::string& folder, const std::string& name) {
    need_privilege(kind);
    const std::string target = folder + "/" + name;
    OK(::mkdir(target.c_str(), 0755));
    Loop loop = attach(folder, target + ".img", false);
    LoopFs fs;
    fs.mounted_ = Mounted(loop.device, target, kind, 0, "");
    return fs;
}

std::string LoopFs::dir(const std::string& name) const {
    std::string made = path() + "/" + name;
    OK(::mkdir(made.c_str(), 0755));
    OK(::chmod(made.c_str(), 0755));
    return made;
}

void LoopFs::shut_down() const {
    constexpr unsigned long kShutdown = _IOR('X', 125, unsigned);
    constexpr unsigned kNoLogFlush = 2;
    UniqueFd root = open_file(path(), O_RDONLY | O_DIRECTORY);
    unsigned how = kNoLogFlush;
    if (::ioctl(root.get(), kShutdown, &how) != 0) skip("this file system can not be shut down");
}

Frozen::Frozen(const LoopFs& fs) : path_(fs.path()) {
    UniqueFd root = open_file(path_, O_RDONLY | O_DIRECTORY);
    if (::ioctl(root.get(), kFreeze, 0) != 0) skip("this file system can not be frozen");
}

Frozen::~Frozen() {
    UniqueFd root(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (::ioctl(root.get(), kThaw, 0) != 0) FAILED_CHECK(path_ + " stays frozen");
}

}  // namespace plyfs::test

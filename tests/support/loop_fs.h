// A real file system of its own for a test: an image in a scratch folder on a loop device (detached by the
// kernel when the mount goes, also after a crash), or a tmpfs or ramfs. What this machine lacks (tool, module, loop
// devices) skips the test.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace plyfs::test {

// mount(2) as an object: unmounts (at the latest by detaching) when it goes.
class Mounted {
  public:
    Mounted() = default;
    Mounted(const std::string& source, const std::string& target, const std::string& type, unsigned long flags,
            const std::string& data);
    Mounted(Mounted&& other) noexcept : target_(std::move(other.target_)) { other.target_.clear(); }
    Mounted& operator=(Mounted&& other) noexcept;
    ~Mounted() { reset(); }
    void reset();
    const std::string& target() const { return target_; }

  private:
    std::string target_;
};

// 0, or the errno of a mount(2) that is tried and taken back.
int try_mount(const std::string& source, const std::string& target, const std::string& type, unsigned long flags,
              const std::string& data);

class LoopFs {
  public:
    // kind: ext4, xfs, btrfs, tmpfs, or ramfs (which knows no inode flags and no size). The image is FOLDER/NAME.img,
    // the mount FOLDER/NAME.
    LoopFs(const std::string& kind, const std::string& folder, const std::string& name, unsigned mib,
           const std::vector<std::string>& mkfs_options = {}, const std::string& mount_options = "");
    // A read-only squashfs of what is in source.
    static LoopFs squashfs(const std::string& folder, const std::string& name, const std::string& source);

    // What is in FOLDER/NAME.img already.
    static LoopFs of_image(const std::string& kind, const std::string& folder, const std::string& name);

    const std::string& path() const { return mounted_.target(); }
    std::string operator/(const std::string& name) const { return path() + "/" + name; }
    // A new directory in it.
    std::string dir(const std::string& name) const;
    // From now on it fails with EIO whatever would write to the disk, and every open and read.
    void shut_down() const;

  private:
    LoopFs() = default;
    Mounted mounted_;
};

// While it is there whatever would write to the file system waits.
class Frozen {
  public:
    explicit Frozen(const LoopFs& fs);
    ~Frozen();
    Frozen(const Frozen&) = delete;
    Frozen& operator=(const Frozen&) = delete;

  private:
    const std::string path_;
};

}  // namespace plyfs::test

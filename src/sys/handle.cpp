#include "sys/handle.h"

#include <fcntl.h>
#include <linux/types.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace plyfs::sys {
namespace {

// The answer of FS_IOC_GETFSUUID, which older headers do not have.
struct UuidAnswer {
    __u8 length;
    __u8 uuid[16];
};
constexpr unsigned long kGetUuid = _IOR(0x15, 0, UuidAnswer);

// The kernel's struct ends in an array of no length.
struct Buffer {
    alignas(struct file_handle) std::byte raw[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    struct file_handle* head() {
        return reinterpret_cast<struct file_handle*>(raw);
    }
    std::byte* bytes() { return raw + sizeof(struct file_handle); }
};

Result<FileHandle> handle_raw(int fd, const char* name, int flags) {
    Buffer buffer{};
    buffer.head()->handle_bytes = MAX_HANDLE_SZ;
    int mount_id;
    if (::name_to_handle_at(fd, name, buffer.head(), &mount_id, flags) != 0) return Errno::last();
    FileHandle out;
    out.type = buffer.head()->handle_type;
    out.bytes.assign(buffer.bytes(), buffer.bytes() + buffer.head()->handle_bytes);
    return out;
}

bool tells_uuids() {
    static const bool tells = [] {
        struct utsname name;
        int major = 0, minor = 0;
        if (::uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &major, &minor) != 2) return false;
        return major > 6 || (major == 6 && minor >= 9);
    }();
    return tells;
}

}  // namespace

Result<FileHandle> handle_of(BorrowedFd object) {
    return handle_raw(object.get(), "", AT_EMPTY_PATH);
}

Result<FileHandle> handle_at(BorrowedFd dir, const Name& name) {
    return handle_raw(dir.get(), name.c_str(), 0);
}

Result<UniqueFd> open_handle(BorrowedFd on_fs, const FileHandle& handle) {
    if (handle.bytes.size() > MAX_HANDLE_SZ) return Errno(ESTALE);
    Buffer buffer{};
    buffer.head()->handle_bytes = static_cast<unsigned>(handle.bytes.size());
    buffer.head()->handle_type = handle.type;
    std::copy(handle.bytes.begin(), handle.bytes.end(), buffer.bytes());
    const int fd = ::open_by_handle_at(on_fs.get(), buffer.head(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return Errno::last();
    return UniqueFd(fd);
}

Result<FsUuid> fs_uuid(BorrowedFd on_fs) {
    UuidAnswer answer{};
    FsUuid out{};
    if (::ioctl(on_fs.get(), kGetUuid, &answer) == 0) {
        std::memcpy(out.data(), answer.uuid, std::min<std::size_t>(answer.length, out.size()));
        return out;
    }
    if (errno == ENOTTY && tells_uuids()) return out;
    return Errno(EOPNOTSUPP);
}

}  // namespace plyfs::sys

#include "node/lasting_ids.h"

#include <linux/magic.h>

#include <cstring>

#include "base/log.h"
#include "sys/mounted.h"
#include "sys/open.h"
#include "sys/xfs.h"

namespace plyfs {
namespace {

// The highest bit, the tag, the number.
constexpr int kNumberBits = 47;
constexpr std::uint64_t kNumberMask = (std::uint64_t{1} << kNumberBits) - 1;
constexpr std::uint64_t kTagMask = (std::uint64_t{1} << (63 - kNumberBits)) - 1;
constexpr NodeId kLasting = NodeId{1} << 63;

// Where a handle has the number and the generation. With generation 0 ext4 and Btrfs take any, XFS is asked for the
// right one.
struct Form {
    std::uint64_t fs_type;
    int handle_type;
    std::size_t size;
    std::size_t number_size;
    std::size_t generation_at;
    std::uint64_t root;  // 0: not the same on each
};
constexpr std::uint64_t kXfs = 0x58465342;
constexpr Form kForms[] = {
    {EXT4_SUPER_MAGIC, 0x01, 8, 4, 4, 2}, {BTRFS_SUPER_MAGIC, 0x4d, 20, 8, 16, 256}, {kXfs, 0x81, 12, 8, 8, 0}};

const Form* form_of(const sys::FileHandle& handle) {
    for (const Form& form : kForms) {
        if (form.handle_type == handle.type && form.size == handle.bytes.size()) return &form;
    }
    return nullptr;
}

std::uint64_t number_in(const sys::FileHandle& handle, const Form& form) {
    std::uint64_t number = 0;
    std::memcpy(&number, handle.bytes.data(), form.number_size);
    return number;
}

std::uint32_t generation_in(const sys::FileHandle& handle, const Form& form) {
    std::uint32_t generation;
    std::memcpy(&generation, handle.bytes.data() + form.generation_at, sizeof generation);
    return generation;
}

// Made of what lies on the disk; none where that is not told.
std::optional<std::uint64_t> tag_of(BorrowedFd root, const Form& form) {
    std::uint64_t id = 0;
    if (form.fs_type == kXfs) {
        const auto uuid = sys::fs_uuid(root);
        if (!uuid) return std::nullopt;
        for (const std::byte b : *uuid) id = (id ^ static_cast<std::uint64_t>(b)) * 0x100000001b3ULL;
    } else if (const auto told = sys::fs_id(root)) {
        id = *told;
    }
    if (id == 0) return std::nullopt;
    return id * 0x9e3779b97f4a7c15ULL >> kNumberBits & kTagMask;
}

bool is_whole(const Branch& branch, const sys::FileHandle& root, const Form& form) {
    if (form.root != 0) return number_in(root, form) == form.root;
    const auto mounted = sys::find_mounted(branch.path());
    return mounted && mounted->device == branch.device() && mounted->root == "/";
}

}  // namespace

LastingIds::Source LastingIds::examine(const Branch& branch) {
    Source source;
    if (!branch.present() || !branch.writable()) return source;
    const auto root = sys::open_dir_for_reading(branch.root());
    if (!root) return source;
    const auto type = sys::fs_type(*root);
    auto handle = sys::handle_of(*root);
    const Form* form = handle ? form_of(*handle) : nullptr;
    if (!type || !form || form->fs_type != *type || !is_whole(branch, *handle, *form)) return source;
    const auto tag = tag_of(*root, *form);
    if (!tag) return source;
    source.usable = true;
    source.tag = *tag;
    source.pattern = std::move(*handle);
    return source;
}

LastingIds::LastingIds(const BranchSet& set) : set_(set) {
    for (const auto& branch : set.all()) {
        sources_.push_back(examine(*branch));
        Source& source = sources_.back();
        for (std::size_t i = 0; i + 1 < sources_.size(); ++i) {
            if (!source.usable || !sources_[i].usable || sources_[i].tag != source.tag) continue;
            source.usable = sources_[i].usable = false;
        }
    }
    for (std::size_t i = 0; i < sources_.size(); ++i) {
        if (sources_[i].usable) continue;
        log::debug("file handles of {} do not outlast the mount", set.at(static_cast<int>(i)).path());
    }
}

std::optional<LastingIds::Identity> LastingIds::find(BorrowedFd dir, const Name& name, BranchIndex branch,
                                                     const sys::Stat& st) const {
    const Source& source = sources_[static_cast<std::size_t>(branch)];
    // What is mounted inside a branch is another file system.
    if (!source.usable || st.stx_ino > kNumberMask || sys::device_of(st) != set_.at(branch).device()) return {};
    const auto handle = sys::handle_at(dir, name);
    const Form* form = handle ? form_of(*handle) : nullptr;
    if (!form || number_in(*handle, *form) != st.stx_ino) return {};
    return Identity{kLasting | source.tag << kNumberBits | st.stx_ino, generation_in(*handle, *form)};
}

Result<LastingIds::Opened> LastingIds::open(NodeId id) const {
    const std::uint64_t tag = id >> kNumberBits & kTagMask;
    const std::uint64_t number = id & kNumberMask;
    for (std::size_t i = 0; i < sources_.size(); ++i) {
        const Source& source = sources_[i];
        const Branch& branch = set_.at(static_cast<int>(i));
        if (!source.usable || source.tag != tag || !branch.present()) continue;
        sys::FileHandle handle = source.pattern;
        const Form& form = *form_of(handle);
        std::memcpy(handle.bytes.data(), &number, form.number_size);
        const auto root = TRY(sys::open_dir_for_reading(branch.root()));
        std::uint32_t generation = 0;
        if (form.fs_type == kXfs) {
            const auto told = sys::xfs_generation(root, number);
            if (!told) return Errno(ESTALE);
            generation = *told;
        }
        std::memcpy(handle.bytes.data() + form.generation_at, &generation, sizeof generation);
        auto fd = TRY(sys::open_handle(root, handle));
        const auto now = TRY(sys::handle_of(fd));
        if (!form_of(now)) return Errno(ESTALE);
        return Opened{std::move(fd), static_cast<BranchIndex>(i), generation_in(now, form)};
    }
    return Errno(ESTALE);
}

}  // namespace plyfs

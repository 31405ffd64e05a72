#include "node/lasting_ids.h"

#include <linux/magic.h>

#include <cstring>

#include "base/log.h"
#include "sys/open.h"

namespace plyfs {
namespace {

// The highest bit, the tag, the number.
constexpr int kNumberBits = 47;
constexpr std::uint64_t kNumberMask = (std::uint64_t{1} << kNumberBits) - 1;
constexpr std::uint64_t kTagMask = (std::uint64_t{1} << (63 - kNumberBits)) - 1;
constexpr NodeId kLasting = NodeId{1} << 63;

// Where a handle has the number and the generation. With generation 0 both file systems take any.
struct Form {
    std::uint64_t fs_type;
    int handle_type;
    std::size_t size;
    std::size_t number_size;
    std::size_t generation_at;
    std::uint64_t root;
};
constexpr Form kForms[] = {{EXT4_SUPER_MAGIC, 0x01, 8, 4, 4, 2}, {BTRFS_SUPER_MAGIC, 0x4d, 20, 8, 16, 256}};

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

std::uint64_t tag_of(std::uint64_t fs_id) {
    const std::uint64_t mixed = fs_id * 0x9e3779b97f4a7c15ULL;
    return mixed >> kNumberBits & kTagMask;
}

}  // namespace

LastingIds::Source LastingIds::examine(const Branch& branch) {
    Source source;
    if (!branch.present() || !branch.writable()) return source;
    const auto root = sys::open_dir_for_reading(branch.root());
    if (!root) return source;
    const auto type = sys::fs_type(*root);
    auto handle = sys::handle_of(*root);
    const auto id = sys::fs_id(*root);
    const Form* form = handle ? form_of(*handle) : nullptr;
    if (!type || !id || *id == 0 || !form || form->fs_type != *type || number_in(*handle, *form) != form->root)
        return source;
    source.usable = true;
    source.tag = tag_of(*id);
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
        std::memset(handle.bytes.data() + form.generation_at, 0, sizeof(std::uint32_t));
        auto fd = TRY(sys::open_handle(TRY(sys::open_dir_for_reading(branch.root())), handle));
        const auto now = TRY(sys::handle_of(fd));
        if (!form_of(now)) return Errno(ESTALE);
        return Opened{std::move(fd), static_cast<BranchIndex>(i), generation_in(now, form)};
    }
    return Errno(ESTALE);
}

}  // namespace plyfs

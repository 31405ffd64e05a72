#include "overlay/origins.h"

#include <linux/magic.h>

#include <array>

#include "base/log.h"
#include "sys/open.h"
#include "sys/stat.h"
#include "sys/xattr.h"

namespace plyfs {
namespace {

constexpr const char* kTrusted = "trusted.overlay.";
constexpr const char* kUser = "user.overlay.";

constexpr const char* kOrigin = "origin";
constexpr const char* kImpure = "impure";
constexpr const char* kLinkCount = "nlink";
constexpr const char* kUpper = "upper";

// EPERM is what the privileged attributes answer to everybody else, before it is known whether there is one. On a
// read-only mount that is not asked.
bool may_use_trusted(BorrowedFd object) {
    const auto probe = sys::remove_xattr(object, "trusted.overlay.plyfs.probe");
    return probe.failed_with(EROFS) ? sys::may_use_trusted_xattrs() : !probe.failed_with(EPERM);
}

constexpr std::size_t kMostBytes = 255;

Result<origin::Bytes> value_of(const std::array<std::byte, kMostBytes>& buffer, const Result<std::size_t>& size) {
    if (!size) {
        if (size.failed_with(ERANGE)) return origin::Bytes();
        if (size.failed_with(EOPNOTSUPP) || size.failed_with(EPERM)) return Errno(ENODATA);
        return size.error();
    }
    return origin::Bytes(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*size));
}

}  // namespace

Origins::Origins(std::shared_ptr<const BranchSet> set) : set_(std::move(set)), prefix_(kTrusted) {
    for (const auto& branch : set_->all()) sources_.push_back(examine(*branch));
    if (set_->marks().user || !may_use_trusted(set_->at(0).root())) prefix_ = kUser;
    // Copies of one file system have one uuid: which of them is meant can not be told.
    for (std::size_t i = 1; i < sources_.size(); ++i) {
        for (std::size_t j = 1; j < i; ++j) {
            const auto& one = set_->at(static_cast<int>(i));
            const auto& other = set_->at(static_cast<int>(j));
            if (sources_[i].uuid != sources_[j].uuid || one.device() == other.device()) continue;
            // Of this one each subvolume is a device.
            auto type = sys::fs_type(one.root());
            if (type && *type == BTRFS_SUPER_MAGIC) continue;
            for (auto* source : {&sources_[i], &sources_[j]}) {
                source->unique = false;
                if (source->lack.empty()) source->lack = "has the same uuid as another one";
            }
        }
    }
}

Origins::Source Origins::examine(const Branch& branch) const {
    Source out;
    auto on_fs = sys::open_dir_for_reading(branch.root());
    if (!on_fs) {
        out.lack = "can not be read";
        return out;
    }
    out.on_fs = std::move(*on_fs);
    if (!sys::handle_of(branch.root())) {
        out.lack = "gives no file handles";
        return out;
    }
    auto uuid = sys::fs_uuid(out.on_fs);
    if (!uuid) {
        out.lack = "does not tell its uuid to programs on this kernel";
        return out;
    }
    out.uuid = *uuid;
    return out;
}

origin::Bytes Origins::of(BorrowedFd object, BranchIndex branch, bool upper) const {
    const Source& source = sources_[static_cast<std::size_t>(branch)];
    if (!can_find(branch)) return {};
    auto handle = sys::handle_of(object);
    if (!handle) return {};
    return origin::encode(origin::Origin{source.uuid, std::move(*handle), upper});
}

origin::Bytes Origins::of(BorrowedFd dir, const Name& name, BranchIndex branch) const {
    const Source& source = sources_[static_cast<std::size_t>(branch)];
    if (!can_find(branch)) return {};
    auto handle = sys::handle_at(dir, name);
    if (!handle) return {};
    return origin::encode(origin::Origin{source.uuid, std::move(*handle), false});
}

Result<origin::Bytes> Origins::read(BorrowedFd dir, const Name& entry) const {
    std::array<std::byte, kMostBytes> buffer;
    return value_of(buffer, sys::get_xattr_at(dir, entry.c_str(), name(kOrigin).c_str(), buffer));
}

Result<origin::Bytes> Origins::read_own(BorrowedFd object) const {
    std::array<std::byte, kMostBytes> buffer;
    return value_of(buffer, sys::get_xattr(object, name(kOrigin).c_str(), buffer));
}

bool Origins::can_mark(const sys::Stat& st) const {
    return prefix_ == kTrusted || sys::is_regular(st) || sys::is_dir(st);
}

Status Origins::write(BorrowedFd object, const origin::Bytes& origin) const {
    auto done = sys::set_xattr(object, name(kOrigin).c_str(), origin);
    // user.* is for files and directories only, and an upper without attributes keeps none.
    return done.failed_with(EPERM) || done.failed_with(EOPNOTSUPP) ? Status() : done;
}

std::optional<sys::Stat> Origins::find(const origin::Bytes& origin) const {
    const auto wanted = origin::decode(origin);
    if (!wanted || wanted->upper) return std::nullopt;
    for (std::size_t i = 1; i < sources_.size(); ++i) {  // the upper one is no original
        const Source& source = sources_[i];
        if (!source.lack.empty() || !source.unique) continue;
        if (source.uuid != wanted->uuid) continue;
        auto object = sys::open_handle(source.on_fs, wanted->handle);
        if (!object) return std::nullopt;  // the others of this uuid are on the same file system
        auto st = set_->at(static_cast<int>(i)).stat_fd(*object);
        if (!st || st->stx_nlink == 0) return std::nullopt;
        return *st;
    }
    return std::nullopt;
}

Result<bool> Origins::is_impure(BorrowedFd dir) const {
    std::array<std::byte, 8> value;
    auto size = sys::get_xattr(dir, name(kImpure).c_str(), value);
    if (size) return *size == 1 && value[0] == std::byte{'y'};
    if (size.failed_with(ENODATA) || size.failed_with(EOPNOTSUPP) || size.failed_with(ERANGE)) return false;
    return size.error();
}

Status Origins::make_impure(BorrowedFd dir) const {
    constexpr std::byte kYes[] = {std::byte{'y'}};
    auto done = sys::set_xattr(dir, name(kImpure).c_str(), kYes);
    return done.failed_with(EPERM) || done.failed_with(EOPNOTSUPP) ? Status() : done;
}

Status Origins::write_link_count(BorrowedFd object, const origin::LinkCount& count) const {
    const std::string text = origin::encode(count);
    return sys::set_xattr(object, name(kLinkCount).c_str(), std::as_bytes(std::span(text)));
}

std::optional<origin::LinkCount> Origins::read_link_count(BorrowedFd dir, const Name& entry) const {
    std::array<std::byte, 16> value;
    auto size = sys::get_xattr_at(dir, entry.c_str(), name(kLinkCount).c_str(), value);
    if (!size) return std::nullopt;
    return origin::decode_link_count({reinterpret_cast<const char*>(value.data()), *size});
}

Result<origin::Bytes> Origins::read_upper(BorrowedFd index) const {
    std::array<std::byte, kMostBytes> buffer;
    return value_of(buffer, sys::get_xattr(index, name(kUpper).c_str(), buffer));
}

Status Origins::write_upper(BorrowedFd index, const origin::Bytes& upper) const {
    return sys::set_xattr(index, name(kUpper).c_str(), upper);
}

}  // namespace plyfs

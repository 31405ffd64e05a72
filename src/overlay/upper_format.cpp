#include "overlay/upper_format.h"

#include "base/defer.h"
#include "overlay/marks.h"
#include "sys/entry.h"
#include "sys/open.h"
#include "sys/xattr.h"

namespace plyfs {
namespace {

using config::UpperFormat;
using Whiteout = MarkRules::Whiteout;

// A full file system says nothing about what it could hold. Marks of another form than those of before would be worse
// than none, for other readers and for the index.
bool has_no_room(const Status& tried) {
    return tried.failed_with(ENOSPC) || tried.failed_with(EDQUOT);
}

// Some file systems make another object than was asked for and call it done.
bool can_hold_devices(WorkDir& work) {
    const auto temp = work.next();
    auto made = marks::make_whiteout(work.fd(), temp.name());
    if (!made) return has_no_room(made);
    Defer remove([&] { work.discard(temp); });
    const auto st = sys::stat_at(work.fd(), temp.name());
    return st && marks::is_whiteout(*st);
}

struct Attributes {
    bool trusted = false;
    bool user = false;
};

// Without anything being stored: ENODATA is the answer where there could be one.
bool may_remove_attribute(BorrowedFd dir, const char* name) {
    auto removed = sys::remove_xattr(dir, name);
    return removed || removed.failed_with(ENODATA);
}

Attributes can_hold_attributes(WorkDir& work) {
    const auto temp = work.next();
    auto made = sys::make_dir(work.fd(), temp.name(), 0700);
    if (has_no_room(made)) {
        return {may_remove_attribute(work.fd(), marks::kOpaqueXattr),
                may_remove_attribute(work.fd(), marks::kOpaqueXattrUser)};
    }
    if (!made) return {};
    Defer remove([&] { work.discard(temp); });
    auto dir = sys::open_dir_path(work.fd(), temp.name());
    if (!dir) return {};
    constexpr std::byte kValue[] = {std::byte{'y'}};
    auto holds = [&](const char* name) {
        std::byte got{};
        auto set = sys::set_xattr(*dir, name, kValue, 0);
        if (!set) return has_no_room(set) && may_remove_attribute(*dir, name);
        const auto size = sys::get_xattr(*dir, name, std::span(&got, 1));
        return size && *size == 1 && got == kValue[0];
    };
    return {holds(marks::kOpaqueXattr), holds(marks::kOpaqueXattrUser)};
}

}  // namespace

bool choose_upper_format(WorkDir& work, const config::LayerOptions& options, MarkRules& rules, std::string& failure) {
    const UpperFormat wanted = options.upper_format;
    if (wanted == UpperFormat::aufs) {
        rules.whiteout = Whiteout::file;
        return true;
    }
    const Attributes attributes = can_hold_attributes(work);
    const bool devices = can_hold_devices(work);
    const bool trusted = attributes.trusted && !options.userxattr;
    if (wanted == UpperFormat::overlay && !(trusted && devices)) {
        failure = std::string("upper-format=overlay can not be had: the upper directory holds no ") +
                  (devices ? "trusted.* attributes" : "devices 0:0") +
                  (options.userxattr ? " (userxattr is given)" : "");
        return false;
    }
    if (wanted == UpperFormat::overlay_user && !attributes.user) {
        failure = "upper-format=overlay-user can not be had: the upper directory holds no user.* attributes";
        return false;
    }
    rules.user = wanted == UpperFormat::overlay_user || !trusted;
    if (rules.user ? attributes.user : trusted) {
        rules.whiteout = devices ? Whiteout::device : Whiteout::xattr;
    } else {
        rules.whiteout = Whiteout::file;
    }
    return true;
}

const char* format_text(const MarkRules& rules) {
    switch (rules.whiteout) {
        case Whiteout::file:
            return "aufs";
        case Whiteout::xattr:
            return rules.user ? "overlay-user, whiteouts as attributes" : "overlay, whiteouts as attributes";
        case Whiteout::device:
            break;
    }
    return rules.user ? "overlay-user" : "overlay";
}

}  // namespace plyfs

// commit: the upper of layers as a layer of its own, to be put over the others the next time.
#include <fmt/format.h>

#include <sys/sysmacros.h>

#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/failure.h"
#include "ctl/layer_content.h"
#include "ctl/mounts.h"
#include "ctl/out_file.h"
#include "ctl/text.h"
#include "overlay/marks.h"
#include "overlay/resolver.h"
#include "sys/attributes.h"
#include "sys/copy_data.h"
#include "sys/entry.h"
#include "sys/inode_ioctl.h"
#include "sys/open.h"
#include "sys/protection.h"
#include "sys/xattr.h"

namespace plyfs::ctl {
namespace {

// What is stored under another name than users see is given its own name.
sys::XattrRule rule_of(std::string_view name) {
    return marks::stored_xattr(name) == name ? sys::XattrRule::carry : sys::XattrRule::skip;
}

class DirectoryLayer : public LayerReceiver {
  public:
    DirectoryLayer(UniqueFd root, std::string path) : root_(std::move(root)), path_(std::move(path)) {
        auto inherited = sys::open_dir_for_reading(root_);
        if (!inherited) fail("", inherited.error());
        inherited_ = sys::find_inherited(*inherited);
    }

    void take(const Content& content) override {
        auto done = make(content);
        if (!done) fail(content.path, done.error());
        ++objects_;
    }

    void hide(const std::string& path) override {
        const auto done = hide_name(path);
        if (!done) fail(path, done.error());
        ++hidden_;
    }

    // A directory's times and mode are settled when all is in it; the root is as the mount's.
    void finish(BorrowedFd mount_root) {
        for (auto path = dirs_.rbegin(); path != dirs_.rend(); ++path) {
            const auto done = settle_dir(mount_root, *path);
            if (done.failed_with(ENOENT)) throw Failure("/" + shown(*path) + " was removed meanwhile; try again");
            if (!done) fail(*path, done.error());
        }
        const auto done = settle(mount_root, root_);
        if (!done) fail("", done.error());
        for (const auto& [path, protection] : protected_) {
            const auto protects = protect(path, protection);
            if (!protects) fail(path, protects.error());
        }
    }
    std::uint64_t objects() const { return objects_; }
    std::uint64_t hidden() const { return hidden_; }

  private:
    [[noreturn]] void fail(const std::string& path, Errno e) const {
        throw Failure(shown(path_) + "/" + shown(path) + " can not be made: " + log::errno_text(e.value()));
    }

    Status settle(BorrowedFd from, BorrowedFd to) const {
        const auto st = TRY(sys::stat_fd(from));
        for (const std::string& name : TRY(sys::list_xattr(from))) {
            const std::string stored = marks::stored_xattr(name);
            if (stored == name) continue;
            const auto value = sys::get_xattr_all(from, name.c_str());
            if (value) TRY(sys::set_xattr(to, stored.c_str(), *value));
        }
        return sys::copy_metadata(from, to, st, rule_of, inherited_);
    }

    // Of what is being given to the layer: nothing could be made of it or in it once it has that.
    void note_protection(const std::string& path, BorrowedFd from) {
        const auto flags = sys::ioctl_get_flags(from);
        const auto protection = flags ? sys::Protection::of_flags(*flags) : sys::Protection{};
        if (protection.any()) protected_.emplace_back(path, protection);
    }

    Status protect(const std::string& path, const sys::Protection& protection) const {
        const auto at = TRY(walk_from_root(root_, path));
        const auto object = TRY(sys::reopen(TRY(sys::open_path(at.dir, TRY(Name::parse(at.name)))), O_RDONLY));
        return sys::ioctl_set_flags(object, TRY(sys::ioctl_get_flags(object)) | protection.flags());
    }

    Status settle_dir(BorrowedFd mount_root, const std::string& path) const {
        const auto from = TRY(walk_from_root(mount_root, path));
        const auto to = TRY(walk_from_root(root_, path));
        return settle(TRY(sys::open_dir_path(from.dir, TRY(Name::parse(from.name)))),
                      TRY(sys::open_dir_path(to.dir, TRY(Name::parse(to.name)))));
    }

    Status make(const Content& content) {
        const auto at = TRY(walk_from_root(root_, content.path));
        const Name name = TRY(Name::parse(at.name));
        if (!content.first.empty()) {
            const auto first = TRY(walk_from_root(root_, content.first));
            return sys::link_fd(TRY(sys::open_path(first.dir, TRY(Name::parse(first.name)))), at.dir, name);
        }
        const sys::Stat& st = content.st;
        if (sys::is_dir(st)) {
            dirs_.push_back(content.path);
            note_protection(content.path, TRY(sys::open_dir_for_reading(content.fd)));
            return sys::make_dir(at.dir, name, 0700);
        }
        if (sys::is_regular(st)) {
            const auto to = TRY(sys::open_file(at.dir, name, O_RDWR | O_CREAT | O_EXCL, 0600));
            const auto from = TRY(sys::reopen(content.fd, O_RDONLY));
            note_protection(content.path, from);
            TRY(sys::copy_data(from, to, st.stx_size, {}));
            return settle(content.fd, to);
        }
        if (S_ISLNK(st.stx_mode)) {
            TRY(sys::make_symlink(at.dir, name, TRY(sys::read_symlink(content.fd)).c_str()));
        } else {
            TRY(sys::make_node(at.dir, name, (st.stx_mode & S_IFMT) | 0600,
                               makedev(st.stx_rdev_major, st.stx_rdev_minor)));
        }
        return settle(content.fd, TRY(sys::open_path(at.dir, name)));
    }

    // As the kernel's overlayfs has it; where no devices can be made, AUFS' file.
    Status hide_name(const std::string& path) {
        const auto at = TRY(walk_from_root(root_, path));
        const Name name = TRY(Name::parse(at.name));
        auto made = marks::make_whiteout(at.dir, name);
        return made.failed_with(EPERM) ? marks::make_aufs_whiteout(at.dir, name) : made;
    }

    const UniqueFd root_;
    const std::string path_;
    sys::Inherited inherited_;
    std::vector<std::string> dirs_;
    std::vector<std::pair<std::string, sys::Protection>> protected_;
    std::uint64_t objects_ = 0;
    std::uint64_t hidden_ = 0;
};

// What is served may not be changed behind its back, nor grow while it is read.
void require_outside(const Mount& mount, const InDirectory& place) {
    const auto lies_in = [&](const std::string& dir) {
        return place.dir_path == dir || place.dir_path.starts_with(dir + "/");
    };
    const std::string path = shown(place.dir_path + "/" + place.name);
    const auto st = sys::stat_fd(place.dir);
    if (!st || sys::device_of(*st) == mount.device) {
        throw Failure(path + " lies in the mount; name a place outside");
    }
    const Json status = ask(mount, "status");
    for (const Json& branch : status["branches"].items()) {
        if (branch["path"].text() != "/" && lies_in(branch["path"].text())) {
            throw Failure(path + " lies in the layer " + shown(branch["path"]) + "; name a place outside");
        }
    }
}

UniqueFd make_part(const InDirectory& place, const std::string& part) {
    const auto name = Name::parse(part);
    auto made = name ? sys::make_dir(place.dir, *name, 0700) : name.error();
    if (made.failed_with(EEXIST)) {
        throw Failure(shown(place.dir_path + "/" + part) +
                      " was left by a commit that was interrupted, or is somebody else's; remove it, or name another "
                      "place");
    }
    auto fd = made ? sys::open_dir_path(place.dir, *name) : made.error();
    if (!fd) throw Failure(shown(place.dir_path + "/" + part) + ": " + log::errno_text(fd.error().value()));
    return std::move(*fd);
}

}  // namespace

int run_commit(const Words& words) {
    const Mount mount = mount_of(words.arguments[0]);
    const std::string& written = words.arguments[1];
    const InDirectory place = open_parent(written);
    require_outside(mount, place);
    const Changes changes = find_changes(mount);
    const std::string part = place.name + ".part";
    const auto fail = [&](Errno e) { throw Failure(shown(written) + ": " + log::errno_text(e.value())); };
    UniqueFd root = make_part(place, part);
    auto held = sys::open_dir_for_reading(root);
    if (!held) fail(held.error());
    DirectoryLayer layer(std::move(root), place.dir_path + "/" + part);
    give_changes(changes, layer);
    layer.finish(changes.root);
    if (auto synced = sys::sync_file_system(*held); !synced) fail(synced.error());
    auto named =
        sys::rename_entry(place.dir, *Name::parse(part), place.dir, *Name::parse(place.name), RENAME_NOREPLACE);
    if (!named) fail(named.error());
    if (words.json) {
        Json out;
        out.add("layer", place.dir_path + "/" + place.name).add("objects", layer.objects());
        print_line(out.add("whiteouts", layer.hidden()).add("bytes", changes.bytes));
    } else {
        print(fmt::format("{}: {} objects with {}, {} whiteouts; the layer to put over those of {}\n", shown(written),
                          layer.objects(), size_text(changes.bytes), layer.hidden(), shown(mount.path)));
    }
    return 0;
}

}  // namespace plyfs::ctl

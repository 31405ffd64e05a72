// diff: what the upper of layers changes, as a list or as a layer's archive.
#include <fmt/format.h>

#include <iostream>

#include "base/log.h"
#include "control/type_word.h"
#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/failure.h"
#include "ctl/layer_content.h"
#include "ctl/mounts.h"
#include "ctl/out_file.h"
#include "ctl/tar_writer.h"
#include "ctl/text.h"
#include "overlay/marks.h"
#include "sys/entry.h"
#include "sys/file_io.h"
#include "sys/open.h"
#include "sys/xattr.h"

namespace plyfs::ctl {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;

// OCI's form of a layer: what is hidden has a file ".wh.NAME", each name its own.
class TarLayer : public LayerReceiver {
  public:
    explicit TarLayer(OutFile& file) : tar_([&file](std::string_view bytes) { file.write(bytes); }) {}

    void take(const Content& content) override {
        const sys::Stat& st = content.st;
        if (marks::is_aufs_name(last_of(content.path))) {
            throw Failure("/" + shown(content.path) +
                          " has a name by which archives of layers mark what is hidden; rename it");
        }
        if (S_ISSOCK(st.stx_mode)) {
            std::cerr << "plyctl: /" << shown(content.path) << ": a socket, left out: archives have none\n";
            return;
        }
        TarEntry entry = entry_of(content);
        tar_.begin(entry);
        if (entry.type == TarEntry::Type::file && entry.size > 0) copy_data(content);
    }

    void hide(const std::string& path) override {
        TarEntry entry;
        const std::size_t slash = path.rfind('/');
        const std::string dir = slash == std::string::npos ? "" : path.substr(0, slash + 1);
        entry.path = dir + std::string(marks::kAufsPrefix) + last_of(path);
        tar_.begin(entry);
    }

    void finish() { tar_.finish(); }

  private:
    static std::string last_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

    static TarEntry::Type type_of(const sys::Stat& st) {
        switch (st.stx_mode & S_IFMT) {
            case S_IFDIR:
                return TarEntry::Type::directory;
            case S_IFLNK:
                return TarEntry::Type::symlink;
            case S_IFIFO:
                return TarEntry::Type::fifo;
            case S_IFCHR:
                return TarEntry::Type::character;
            case S_IFBLK:
                return TarEntry::Type::block;
            default:
                return TarEntry::Type::file;
        }
    }

    static TarEntry entry_of(const Content& content) {
        const sys::Stat& st = content.st;
        TarEntry entry;
        entry.path = content.path;
        entry.mode = st.stx_mode & 07777U;
        entry.uid = st.stx_uid;
        entry.gid = st.stx_gid;
        entry.seconds = st.stx_mtime.tv_sec;
        entry.nanoseconds = st.stx_mtime.tv_nsec;
        if (!content.first.empty()) {
            entry.type = TarEntry::Type::link;
            entry.target = content.first;
            return entry;
        }
        entry.type = type_of(st);
        if (sys::is_regular(st)) entry.size = st.stx_size;
        if (S_ISCHR(st.stx_mode) || S_ISBLK(st.stx_mode)) {
            entry.major = st.stx_rdev_major;
            entry.minor = st.stx_rdev_minor;
        }
        if (S_ISLNK(st.stx_mode)) {
            auto target = sys::read_symlink(content.fd);
            if (!target) fail_reading(content.path, target.error());
            entry.target = std::move(*target);
        }
        add_attributes(content, entry);
        return entry;
    }

    // A label is this machine's.
    static void add_attributes(const Content& content, TarEntry& entry) {
        const auto names = sys::list_xattr(content.fd);
        if (!names) fail_reading(content.path, names.error());
        for (const std::string& name : *names) {
            if (name == "security.selinux") continue;
            const auto value = sys::get_xattr_all(content.fd, name.c_str());
            if (value.failed_with(ENODATA)) continue;
            if (!value) fail_reading(content.path, value.error());
            entry.attributes.emplace_back(name,
                                          std::string(reinterpret_cast<const char*>(value->data()), value->size()));
        }
    }

    void copy_data(const Content& content) {
        const auto fd = sys::reopen(content.fd, O_RDONLY);
        if (!fd) fail_reading(content.path, fd.error());
        std::vector<std::byte> piece(kPiece);
        for (std::uint64_t at = 0; at < content.st.stx_size;) {
            const std::size_t wanted = std::min<std::uint64_t>(piece.size(), content.st.stx_size - at);
            const auto got = sys::read_at(*fd, std::span(piece).first(wanted), at);
            if (!got) fail_reading(content.path, got.error());
            if (*got == 0) throw Failure("/" + shown(content.path) + " became shorter while it was read; try again");
            tar_.data({reinterpret_cast<const char*>(piece.data()), *got});
            at += *got;
        }
    }

    TarWriter tar_;
};

void print_list(const Mount& mount, const Changes& changes, bool json) {
    Json list = Json::array();
    for (const Change& change : changes.all) {
        if (change.kind == Change::Kind::same) continue;
        const std::string kind(1, static_cast<char>(change.kind));
        if (json) {
            Json one;
            one.add("change", kind).add("path", change.path);
            list.push(one.add("type", control::type_word(change.st)));
        } else {
            print(kind + " /" + shown(change.path) + (sys::is_dir(change.st) ? "/" : "") + "\n");
        }
    }
    if (!json) return;
    Json out;
    print_line(out.add("mountpoint", mount.path).add("changes", std::move(list)));
}

}  // namespace

int run_diff(const Words& words) {
    if (words.json && !words.tar.empty()) {
        throw Failure("--tar writes an archive and no JSON; leave out one of the two", ExitCode::usage);
    }
    const Mount mount = mount_of(words.arguments[0]);
    const Changes changes = find_changes(mount);
    if (words.tar.empty()) {
        print_list(mount, changes, words.json);
        return 0;
    }
    OutFile file(words.tar);
    TarLayer layer(file);
    give_changes(changes, layer);
    layer.finish();
    file.finish();
    return 0;
}

}  // namespace plyfs::ctl

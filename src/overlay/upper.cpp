#include "overlay/upper.h"

#include <dirent.h>
#include <fcntl.h>

#include "overlay/marks.h"
#include "sys/dirent.h"
#include "sys/entry.h"
#include "sys/open.h"
#include "sys/xattr.h"

namespace plyfs {
namespace {

const Name kIncompat = *Name::parse("incompat");

// Directories as overlayfs makes them: nobody but root has business there.
Result<UniqueFd> enter(BorrowedFd parent, const Name& name) {
    auto made = sys::make_dir(parent, name, 0);
    if (!made && !made.failed_with(EEXIST)) return made.error();
    return sys::open_dir_path(parent, name);
}

}  // namespace

Result<std::string> find_incompatible(BorrowedFd workdir, const Name& work) {
    auto inner = sys::open_dir_path(workdir, work);
    auto marks = inner ? sys::open_dir_path(*inner, kIncompat) : inner.error();
    if (marks.failed_with(ENOENT)) return std::string();
    if (!marks) return marks.error();
    sys::DirReader reader(TRY(sys::open_dir_for_reading(*marks)));
    sys::DirEntry entry;
    while (TRY(reader.next(entry))) {
        if (!entry.is_dot()) return std::string(entry.name);
    }
    return std::string();
}

Status mark_volatile(BorrowedFd work) {
    const auto marks = TRY(enter(work, kIncompat));
    const auto mark = TRY(enter(marks, *Name::parse("volatile")));
    auto dirty = sys::open_file(mark, *Name::parse("dirty"), O_WRONLY | O_CREAT, 0);
    return dirty ? Status() : dirty.error();
}

std::vector<std::string> find_lacks(BorrowedFd workdir, const Name& work) {
    std::vector<std::string> lacks;
    if (auto dir = sys::open_dir_path(workdir, work)) {
        if (sys::get_xattr(*dir, marks::kOpaqueXattr, {}).failed_with(EOPNOTSUPP)) {
            lacks.push_back(
                "has no extended attributes: those of files are lost, and marks are files as AUFS has them, which "
                "overlayfs does not read");
        }
    }
    auto reading = sys::open_dir_for_reading(workdir);
    if (!reading) return lacks;
    sys::DirReader reader(std::move(*reading));
    sys::DirEntry entry;
    for (;;) {
        auto more = reader.next(entry);
        if (!more || !*more) return lacks;
        if (entry.name == work.view() && entry.type == DT_UNKNOWN) {
            lacks.push_back("does not tell the types of files when a directory is read, which makes that slow");
        }
    }
}

}  // namespace plyfs

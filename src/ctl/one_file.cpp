#include "ctl/one_file.h"

#include <algorithm>
#include <vector>

#include "base/log.h"
#include "sys/file_io.h"
#include "sys/open.h"

namespace plyfs::ctl {
namespace {

bool same_time(const statx_timestamp& a, const statx_timestamp& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool same_file(const sys::Stat& a, const sys::Stat& b) {
    return sys::key_of(a) == sys::key_of(b) && a.stx_size == b.stx_size && same_time(a.stx_mtime, b.stx_mtime) &&
           same_time(a.stx_ctime, b.stx_ctime);
}

}  // namespace

Result<UniqueFd> open_as_found(BorrowedFd dir, const Name& name, const sys::Stat& found) {
    auto fd = TRY(sys::open_path(dir, name));
    if (!same_file(TRY(sys::stat_fd(fd)), found)) return Errno(ESTALE);
    return fd;
}

std::string because(const char* what, Errno e) {
    return std::string(what) + ": " + log::errno_text(e.value());
}

std::string why_in_use(BorrowedFd file, sys::Opener opener) {
    const auto reader = sys::reopen(file, O_RDONLY);
    if (!reader) return because("it can not be read", reader.error());
    const auto open = sys::has_other_opener(*reader, opener);
    if (!open) return because("who has it open can not be told", open.error());
    return *open ? "somebody has it open" : "";
}

Result<bool> same_content(BorrowedFd one, BorrowedFd other) {
    const auto a = TRY(sys::reopen(one, O_RDONLY)), b = TRY(sys::reopen(other, O_RDONLY));
    std::vector<std::byte> here(std::size_t{1} << 20), there(here.size());
    for (std::uint64_t at = 0;;) {
        const std::size_t got = TRY(sys::read_at(a, here, at)), more = TRY(sys::read_at(b, there, at));
        const std::size_t both = std::min(got, more);
        if (both == 0) return got == more;
        if (!std::equal(here.begin(), here.begin() + static_cast<std::ptrdiff_t>(both), there.begin())) return false;
        at += both;
    }
}

}  // namespace plyfs::ctl

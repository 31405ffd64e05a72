#include "ctl/out_file.h"

#include <unistd.h>

#include "base/log.h"
#include "ctl/failure.h"
#include "ctl/mounts.h"
#include "ctl/text.h"
#include "sys/entry.h"
#include "sys/open.h"
#include "sys/stat.h"

namespace plyfs::ctl {

InDirectory open_parent(const std::string& written) {
    std::string path = written;
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    const std::size_t slash = path.rfind('/');
    InDirectory out;
    out.name = slash == std::string::npos ? path : path.substr(slash + 1);
    const std::string dir = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    if (!Name::parse(out.name)) throw Failure("'" + shown(written) + "' names nothing that could be made");
    const auto real = real_path(dir);
    if (!real) throw Failure(shown(dir) + ": " + log::errno_text(errno));
    auto fd = sys::open_root(real->c_str());
    if (!fd) throw Failure(shown(dir) + ": " + log::errno_text(fd.error().value()));
    out.dir = std::move(*fd);
    out.dir_path = *real;
    if (sys::stat_at(out.dir, *Name::parse(out.name))) {
        throw Failure(shown(written) + " is there already; name something new, or remove it");
    }
    return out;
}

OutFile::OutFile(const std::string& path) : path_(path), file_(stdout) {
    if (path == "-") {
        if (::isatty(STDOUT_FILENO) == 1) throw Failure("an archive is nothing for a terminal; name a file");
        return;
    }
    InDirectory place = open_parent(path);
    dir_ = std::move(place.dir);
    name_ = place.name;
    part_ = name_ + ".part";
    const auto part = Name::parse(part_);
    auto fd = part ? sys::open_file(dir_, *part, O_WRONLY | O_CREAT | O_TRUNC, 0600) : part.error();
    if (!fd) fail(fd.error().value());
    file_ = ::fdopen(fd->get(), "wb");
    if (!file_) fail(errno);
    fd->release();
}

OutFile::~OutFile() {
    if (path_ == "-") return;
    std::fclose(file_);  // NOLINT: of a file that is kept it was flushed and synced
    if (finished_) return;
    const auto removed = sys::unlink_file(dir_, *Name::parse(part_));
    if (!removed) log::debug("{} stays", part_);
}

void OutFile::fail(int error) const {
    throw Failure((path_ == "-" ? "standard output" : shown(path_)) + " can not be written: " + log::errno_text(error));
}

void OutFile::write(std::string_view bytes) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) fail(errno);
}

void OutFile::finish() {
    if (std::fflush(file_) != 0) fail(errno);
    if (path_ == "-") return;
    const BorrowedFd fd(::fileno(file_));
    if (auto synced = sys::sync_file(fd); !synced) fail(synced.error().value());
    auto named = sys::rename_entry(dir_, *Name::parse(part_), dir_, *Name::parse(name_), RENAME_NOREPLACE);
    if (!named) fail(named.error().value());
    finished_ = true;
}

}  // namespace plyfs::ctl

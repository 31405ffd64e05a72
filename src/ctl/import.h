// What mounts by other programs are written as for us, and what is another thing then. Text in, text out: nothing is
// looked at but the words, which are read by the parser that reads them for a mount.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plyfs::ctl {

enum class Foreign { mergerfs, fuse_overlayfs, overlay };
// By the words of the command line; none for another.
std::optional<Foreign> foreign_of(std::string_view word);

struct Imported {
    std::string text;                  // a line without its end, or a file
    std::vector<std::string> changes;  // what is another thing then, a line each
    std::vector<std::string> faults;   // why it can not be done: then text means nothing
};

// A line of fstab(5). None: an empty one, a comment, or not of that program.
std::optional<Imported> import_line(Foreign program, const std::string& line);

// podman's and buildah's storage.conf, with `program` in the place of fuse-overlayfs.
Imported import_storage(const std::string& text, const std::string& program);

}  // namespace plyfs::ctl

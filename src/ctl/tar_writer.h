// Archives as pax(1) writes them (POSIX.1-2001), which tar and every reader of OCI layers read: what does not fit the
// classic header (long names, parts of a second, large numbers, extended attributes) stands in records before it.
#pragma once

#include <cstdint>
#include <ctime>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plyfs::ctl {

struct TarEntry {
    enum class Type : char {
        file = '0',
        link = '1',
        symlink = '2',
        character = '3',
        block = '4',
        directory = '5',
        fifo = '6'
    };
    std::string path;  // relative, without a slash at the end
    Type type = Type::file;
    std::uint32_t mode = 0;  // permission bits
    std::uint64_t uid = 0;
    std::uint64_t gid = 0;
    std::uint64_t size = 0;  // of a file: how many bytes of data follow
    std::int64_t seconds = 0;
    std::uint32_t nanoseconds = 0;
    std::string target;  // of a symlink, or of a link: the entry's path
    std::uint32_t major = 0;
    std::uint32_t minor = 0;
    std::vector<std::pair<std::string, std::string>> attributes;
};

class TarWriter {
  public:
    // write throws when it can not.
    explicit TarWriter(std::function<void(std::string_view)> write) : write_(std::move(write)) {}
    // Of a file its data comes next, as many bytes as it said.
    void begin(const TarEntry& entry);
    void data(std::string_view bytes);
    void finish();

  private:
    void write_blocks(std::string_view bytes);

    const std::function<void(std::string_view)> write_;
    std::uint64_t left_ = 0;  // of the file's data
    std::uint64_t size_ = 0;
};

}  // namespace plyfs::ctl

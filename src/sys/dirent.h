// Reading one directory of one branch: getdents64 with a large buffer, entries as the kernel gives them, "." and ".."
// among them. Not for use by two threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace plyfs::sys {

struct DirEntry {
    std::string_view name;  // NUL follows; valid until the next call
    std::uint64_t ino = 0;
    std::int64_t offset = 0;  // lseek position after this entry, as the file system counts
    unsigned char type = 0;   // DT_*; DT_UNKNOWN where the file system does not say
    bool is_dot() const { return name == "." || name == ".."; }
};

class DirReader {
  public:
    // Takes a descriptor made by open_dir_for_reading.
    explicit DirReader(UniqueFd fd);
    // False at the end of the directory.
    Result<bool> next(DirEntry& out);
    // What next() will give.
    Result<bool> peek(DirEntry& out);
    // To where an entry's offset pointed; 0 is the beginning.
    Status seek(std::int64_t offset);
    BorrowedFd fd() const { return fd_; }

  private:
    static constexpr std::size_t kBuffer = std::size_t{64} * 1024;
    UniqueFd fd_;
    std::unique_ptr<char[]> buffer_;
    std::size_t used_ = 0;
    std::size_t at_ = 0;
};

}  // namespace plyfs::sys

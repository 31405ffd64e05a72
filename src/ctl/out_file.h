// A file that is there once it is complete: until then it is NAME.part beside it.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace plyfs::ctl {

class OutFile {
  public:
    // "-": standard output. Throws Failure, also where it exists.
    explicit OutFile(const std::string& path);
    ~OutFile();
    OutFile(const OutFile&) = delete;
    OutFile& operator=(const OutFile&) = delete;
    // Throws Failure.
    void write(std::string_view bytes);
    void finish();

  private:
    [[noreturn]] void fail(int error) const;

    const std::string path_;
    std::string name_, part_;
    UniqueFd dir_;
    std::FILE* file_;
    bool finished_ = false;
};

// The directory that a path's last component lies in, opened, and that component. Throws Failure.
struct InDirectory {
    UniqueFd dir;
    std::string dir_path;  // canonical
    std::string name;
};
InDirectory open_parent(const std::string& path);

}  // namespace plyfs::ctl

// What kind of object lies on a branch, in the word that plyctl shows for it.
#pragma once

#include <string_view>

#include "sys/stat.h"

namespace plyfs::control {

inline std::string_view type_word(const sys::Stat& st) {
    switch (st.stx_mode & S_IFMT) {
        case S_IFREG:
            return "file";
        case S_IFDIR:
            return "directory";
        case S_IFLNK:
            return "symlink";
        case S_IFIFO:
            return "fifo";
        case S_IFSOCK:
            return "socket";
        default:
            return "device";
    }
}

}  // namespace plyfs::control

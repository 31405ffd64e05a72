// What the upper of layers changes, read through the mount for those who write it somewhere else.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "ctl/layer_diff.h"
#include "ctl/mover.h"

namespace plyfs::ctl {

// One changed object as it is when its turn comes.
struct Content {
    std::string path;
    sys::Stat st;
    UniqueFd fd;        // O_PATH
    std::string first;  // of a further name of a file: its first one, which was given before
};

class LayerReceiver {
  public:
    virtual ~LayerReceiver() = default;
    // Also of directories that are what they were, for those in which something changed.
    virtual void take(const Content& content) = 0;
    virtual void hide(const std::string& path) = 0;
};

// Each change in turn, a directory before what is in it, and how far it is; what vanished meanwhile is passed over.
// Throws Failure.
void give_changes(const Changes& changes, LayerReceiver& to);
// "/a/b can not be read: ...".
[[noreturn]] void fail_reading(const std::string& path, Errno e);

}  // namespace plyfs::ctl

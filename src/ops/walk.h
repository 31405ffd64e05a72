// Walking to nodes by their paths as the kernel would, for requests that do not come from it. It does not know of these
// lookups, so what they counted is given back at the end.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ops/lookup.h"

namespace plyfs::ops {

// "a//b/" is a and b.
std::vector<std::string> names_of_path(std::string_view path);

class Walk {
  public:
    explicit Walk(Context& ctx) : ctx_(ctx) {}
    ~Walk();
    Walk(const Walk&) = delete;
    Walk& operator=(const Walk&) = delete;

    Result<NodeRef> step(NodeId parent, const std::string& name);
    // Of the directory that the names lead to from the root. ENOTDIR: it is none.
    Result<NodeRef> to_dir(const std::vector<std::string>& names);
    // Of the object that they lead to, whatever it is.
    Result<NodeRef> to(const std::vector<std::string>& names);
    NodeId at() const { return at_; }

  private:
    Context& ctx_;
    std::vector<NodeId> held_;
    NodeId at_ = kRootId;
};

}  // namespace plyfs::ops

#include "ops/walk.h"

#include <algorithm>

namespace plyfs::ops {

std::vector<std::string> names_of_path(std::string_view path) {
    std::vector<std::string> names;
    while (!path.empty()) {
        const std::size_t end = std::min(path.find('/'), path.size());
        if (end > 0) names.emplace_back(path.substr(0, end));
        path.remove_prefix(std::min(end + 1, path.size()));
    }
    return names;
}

Walk::~Walk() {
    for (NodeId id : held_) forget(ctx_, id, 1);
}

Result<NodeRef> Walk::step(NodeId parent, const std::string& name) {
    const Entry entry = TRY(lookup(ctx_, parent, TRY(Name::parse(name))));
    held_.push_back(entry.id);
    at_ = entry.id;
    return node_of(ctx_, entry.id);
}

Result<NodeRef> Walk::to(const std::vector<std::string>& names) {
    at_ = kRootId;
    NodeRef node = TRY(node_of(ctx_, kRootId));
    for (const std::string& name : names) node = TRY(step(at_, name));
    return node;
}

Result<NodeRef> Walk::to_dir(const std::vector<std::string>& names) {
    NodeRef node = TRY(to(names));
    if (!node->is_dir()) return Errno(ENOTDIR);
    return node;
}

}  // namespace plyfs::ops

#include "policy/rules.h"

#include <fnmatch.h>

namespace plyfs::policy {

bool fits(const config::PlacementRule& rule, const NewName& name) {
    if (rule.uid && *rule.uid != name.uid) return false;
    if (rule.gid && *rule.gid != name.gid) return false;
    if (!rule.path.empty() && rule.path != "/" &&
        ::fnmatch(rule.path.c_str(), name.path.c_str(), FNM_PATHNAME | FNM_LEADING_DIR) != 0) {
        return false;
    }
    return rule.name.empty() || ::fnmatch(rule.name.c_str(), name.path.c_str() + name.path.rfind('/') + 1, 0) == 0;
}

const config::PlacementRule* find_rule(std::span<const config::PlacementRule> rules, const NewName& name) {
    for (const config::PlacementRule& rule : rules) {
        if (fits(rule, name)) return &rule;
    }
    return nullptr;
}

}  // namespace plyfs::policy

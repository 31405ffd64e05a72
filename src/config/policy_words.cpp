#include "config/policy_words.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "config/error.h"
#include "config/nearest.h"

namespace plyfs::config {
namespace {

// In the order of the enumeration.
constexpr std::string_view kNames[] = {"all",    "epall",  "epff",    "eplfs",  "eplus", "epmfs", "eppfrd", "eprand",
                                       "erofs",  "ff",     "largest", "lfs",    "lup",   "lus",   "mfs",    "msplfs",
                                       "msplus", "mspmfs", "msppfrd", "newest", "pfrd",  "rand"};
static_assert(std::size(kNames) == static_cast<std::size_t>(Policy::count_));

std::string all_names(std::string_view separator) {
    std::string out;
    for (std::string_view name : kNames) out.append(out.empty() ? "" : separator).append(name);
    return out;
}

}  // namespace

Policy parse_policy(std::string_view word) {
    const auto* found = std::find(std::begin(kNames), std::end(kNames), word);
    if (found != std::end(kNames)) return static_cast<Policy>(found - std::begin(kNames));
    const std::string names = all_names("|");
    const std::string near = nearest_word(names, word);
    throw BadValue("unknown policy '" + std::string(word) + "'; " +
                   (near.empty() ? "use one of " + all_names(", ") : "did you mean '" + std::string(near) + "'?"));
}

Policy parse_create_policy(std::string_view word) {
    const Policy policy = parse_policy(word);
    require_create_form(policy);
    return policy;
}

void require_create_form(Policy policy) {
    if (has_create_form(policy)) return;
    throw BadValue("policy '" + std::string(policy_name(policy)) +
                   "' is about files that are there; use another one for new names");
}

std::string_view policy_name(Policy policy) {
    return kNames[static_cast<std::size_t>(policy)];
}

}  // namespace plyfs::config

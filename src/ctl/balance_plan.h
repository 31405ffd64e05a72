// Which branch gives to which, and how much, for all to be as full; pure.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace plyfs::ctl {

struct Fullness {
    std::string path;
    std::uint64_t available = 0;
    std::uint64_t total = 0;
    double used() const { return total ? 1 - static_cast<double>(available) / static_cast<double>(total) : 0; }
};
struct Transfer {
    std::string from, to;
    std::uint64_t bytes = 0;  // until one of the two is as full as all will be
};
// From the fullest to the emptiest, if more than `within` (0 to 1) lies between. One that has got something gives
// nothing, and the other way round, so that nothing moves twice.
std::optional<Transfer> plan_transfer(const std::vector<Fullness>& branches, double within,
                                      const std::set<std::string>& givers, const std::set<std::string>& takers,
                                      const std::set<std::string>& exhausted);

}  // namespace plyfs::ctl

// What a mount has done, read from its answer to "counters"; and what it did between two such answers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "control/counters.h"

namespace plyfs::ctl {

struct Counters {
    struct Kind {
        std::uint64_t count = 0;
        control::Latencies took;
        std::uint64_t timed() const;
    };
    std::uint64_t nanoseconds = 0;  // when they were read, of a clock that only goes on
    std::map<std::string, Kind> kinds;
    std::map<std::string, std::uint64_t> counts;

    static Counters read(const Json& answer);
    Counters since(const Counters& before) const;
    std::uint64_t count(const std::string& name) const;
    std::uint64_t requests(const std::string& kind) const;
};

// In nanoseconds: so that `share` (0 to 1) took no longer; between two bounds as if evenly spread. 0 of none.
std::uint64_t percentile(const control::Latencies& took, double share);

}  // namespace plyfs::ctl

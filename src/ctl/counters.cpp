#include "ctl/counters.h"

#include <numeric>

namespace plyfs::ctl {
namespace {

// Of a daemon that was started anew in between there is less than before.
std::uint64_t less(std::uint64_t now, std::uint64_t before) {
    return now >= before ? now - before : now;
}

}  // namespace

std::uint64_t Counters::Kind::timed() const {
    return std::accumulate(took.counts.begin(), took.counts.end(), std::uint64_t{0});
}

Counters Counters::read(const Json& answer) {
    Counters out;
    out.nanoseconds = answer["nanoseconds"].number();
    for (const auto& [name, json] : answer["requests"].members()) {
        Kind& kind = out.kinds[name];
        kind.count = json["count"].number();
        kind.took.nanoseconds = json["nanoseconds"].number();
        const auto& buckets = json["buckets"].items();
        for (std::size_t i = 0; i < buckets.size() && i < kind.took.counts.size(); ++i) {
            kind.took.counts[i] = buckets[i].number();
        }
    }
    for (const auto& [name, json] : answer["counts"].members()) out.counts[name] = json.number();
    return out;
}

Counters Counters::since(const Counters& before) const {
    Counters out = *this;
    out.nanoseconds = less(nanoseconds, before.nanoseconds);
    for (auto& [name, kind] : out.kinds) {
        const auto old = before.kinds.find(name);
        if (old == before.kinds.end()) continue;
        kind.count = less(kind.count, old->second.count);
        kind.took.nanoseconds = less(kind.took.nanoseconds, old->second.took.nanoseconds);
        for (std::size_t i = 0; i < kind.took.counts.size(); ++i) {
            kind.took.counts[i] = less(kind.took.counts[i], old->second.took.counts[i]);
        }
    }
    for (auto& [name, value] : out.counts) value = less(value, before.count(name));
    return out;
}

std::uint64_t Counters::count(const std::string& name) const {
    const auto found = counts.find(name);
    return found == counts.end() ? 0 : found->second;
}

std::uint64_t Counters::requests(const std::string& kind) const {
    const auto found = kinds.find(kind);
    return found == kinds.end() ? 0 : found->second.count;
}

std::uint64_t percentile(const control::Latencies& took, double share) {
    using control::Latencies;
    const auto all = std::accumulate(took.counts.begin(), took.counts.end(), std::uint64_t{0});
    double wanted = share * static_cast<double>(all);
    for (int i = 0; i < Latencies::kBuckets && all > 0; ++i) {
        const auto here = static_cast<double>(took.counts[static_cast<std::size_t>(i)]);
        if (here < wanted || here == 0) {
            wanted -= here;
            continue;
        }
        const double low = i == 0 ? 0 : static_cast<double>(Latencies::bound(i - 1));
        const auto high = static_cast<double>(Latencies::bound(i));
        return static_cast<std::uint64_t>(low + (high - low) * wanted / here);
    }
    return all > 0 ? Latencies::bound(Latencies::kBuckets - 1) : 0;
}

}  // namespace plyfs::ctl

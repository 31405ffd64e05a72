#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/counters.h"
#include "ctl/mounts.h"
#include "ctl/text.h"

namespace plyfs::ctl {
namespace {

constexpr const char* kClear = "\033[H\033[J";
constexpr double kPercentiles[] = {0.5, 0.9, 0.99};

struct Watched {
    Mount mount;
    std::string name;
    Counters last;
};

double rate(std::uint64_t count, const Counters& during) {
    return during.nanoseconds ? static_cast<double>(count) * 1e9 / static_cast<double>(during.nanoseconds) : 0;
}

// Nothing of what is read and written in passthrough is heard of by the daemon: what is known is how many opens it
// answered so. -1: nothing was opened.
double kernel_share(const Counters& during) {
    const std::uint64_t passed = during.count("opens.passthrough");
    const std::uint64_t all = passed + during.count("opens.cached") + during.count("opens.direct");
    return all ? static_cast<double>(passed) / static_cast<double>(all) : -1;
}

using Busy = std::pair<std::string, const Counters::Kind*>;

std::vector<Busy> busiest(const Counters& during) {
    std::vector<Busy> out;
    for (const auto& [name, kind] : during.kinds) {
        if (kind.count > 0) out.emplace_back(name, &kind);
    }
    std::stable_sort(out.begin(), out.end(),
                     [](const Busy& a, const Busy& b) { return a.second->count > b.second->count; });
    return out;
}

std::string text_of(const std::string& name, const Counters& during) {
    std::uint64_t all = 0;
    for (const auto& [kind, counted] : during.kinds) all += counted.count;
    const double share = kernel_share(during);
    std::string out = fmt::format("{}: {:.0f} requests a second\n  ", shown(name), rate(all, during));
    out += share < 0 ? std::string("nothing was opened")
                     : fmt::format("{:.0f}% of opens are served by the kernel", share * 100);
    out += fmt::format("; the daemon serves {:.0f} reads and {:.0f} writes a second\n",
                       rate(during.requests("read"), during), rate(during.requests("write"), during));
    std::vector<std::vector<std::string>> rows;
    for (const auto& [kind, counted] : busiest(during)) {
        std::vector<std::string> row{"  " + shown(kind), fmt::format("{:.1f}", rate(counted->count, during))};
        const bool timed = counted->timed() > 0;
        for (double p : kPercentiles) row.push_back(timed ? duration_text(percentile(counted->took, p)) : "");
        row.push_back(timed ? duration_text(percentile(counted->took, 1)) : "");
        rows.push_back(std::move(row));
    }
    return out + table({"  OPERATION", ">A SECOND", ">50%", ">90%", ">99%", ">BELOW"}, rows);
}

Json json_of(const std::string& name, const Counters& during) {
    Json kinds = Json::object(), out;
    for (const auto& [kind, counted] : busiest(during)) {
        Json one;
        one.add("per_second", rate(counted->count, during));
        one.add("p50_ns", percentile(counted->took, 0.5)).add("p90_ns", percentile(counted->took, 0.9));
        one.add("p99_ns", percentile(counted->took, 0.99));
        kinds.add(kind, std::move(one));
    }
    const double share = kernel_share(during);
    out.add("mountpoint", name).add("seconds", static_cast<double>(during.nanoseconds) / 1e9);
    out.add("opens_by_kernel", share < 0 ? Json() : Json(share));
    return std::move(out.add("operations", std::move(kinds)));
}

void wait_for(double seconds) {
    const double whole = std::floor(seconds);
    struct timespec rest = {static_cast<time_t>(whole), static_cast<long>((seconds - whole) * 1e9)};
    while (::nanosleep(&rest, &rest) != 0) {
    }
}

}  // namespace

int run_top(const Words& words) {
    std::vector<Watched> all;
    for (auto& mount : mounts_named(words.arguments)) {
        Counters now = Counters::read(ask(mount, "counters"));
        std::string name = mount.path.empty() ? mount.socket : mount.path;
        all.push_back({std::move(mount), std::move(name), std::move(now)});
    }
    const bool screen = !words.json && ::isatty(STDOUT_FILENO) && !words.count;
    for (int i = 0; !words.count || i < *words.count; ++i) {
        wait_for(words.interval);
        std::string text = screen ? kClear : "";
        for (Watched& watched : all) {
            Counters now = Counters::read(ask(watched.mount, "counters"));
            const Counters during = now.since(watched.last);
            watched.last = std::move(now);
            text += words.json ? json_of(watched.name, during).write() + "\n" : text_of(watched.name, during) + "\n";
        }
        print(text);
    }
    return 0;
}

}  // namespace plyfs::ctl

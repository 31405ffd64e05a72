#include "support/stats.h"

#include <sys/xattr.h>

#include <cstdlib>
#include <sstream>

#include "support/check.h"
#include "support/sandbox.h"

namespace plyfs::test {

bool is_standin() {
    static const bool standin = std::getenv("PLYFS_TEST_STANDIN") || std::getenv("PLYFS_TEST_ANCHOR");
    return standin;
}

Stats Stats::read(const std::string& mountpoint) {
    Stats stats;
    if (is_standin()) return stats;
    char buffer[65536];
    ssize_t n = OK(::getxattr(mountpoint.c_str(), "user.plyfs.stats", buffer, sizeof buffer));
    std::istringstream lines(std::string(buffer, static_cast<std::size_t>(n)));
    for (std::string line; std::getline(lines, line);)
        if (std::size_t space = line.find(' '); space != std::string::npos)
            stats.values_[line.substr(0, space)] = line.substr(space + 1);
    return stats;
}

const std::string& Stats::text(const std::string& key) const {
    static const std::string nothing = "0";
    if (is_standin()) return nothing;
    auto found = values_.find(key);
    INFO("the statistics have no line ", key);
    REQUIRE(found != values_.end());
    return found->second;
}

long Stats::operator[](const std::string& key) const {
    const std::string& value = text(key);
    char* end = nullptr;
    long number = std::strtol(value.c_str(), &end, 10);
    INFO(key, " is no number: ", value);
    REQUIRE((end && *end == '\0' && !value.empty()));
    return number;
}

long Stats::opens() const {
    return (*this)["opens.passthrough"] + (*this)["opens.cached"] + (*this)["opens.direct"];
}

long Counter::served() const {
    if (is_unprivileged()) return 0;  // nothing passes through: not what is asked here
    Stats now = Stats::read(mountpoint_);
    return now.request("read") - before_.request("read") + now.request("write") - before_.request("write");
}

}  // namespace plyfs::test

// A pool of two branches, and a third one that may come; each test is for one with a supervisor, and for one that gets
// it by the first change.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "support/check.h"
#include "support/files.h"
#include "support/mount.h"
#include "support/plyctl.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/scratch.h"
#include "support/transport.h"

namespace plyfs::test {

inline constexpr int kFailure = 1, kUsage = 2;

inline std::string supervised_or_not() {
    std::string out = "supervise=on";
    SUBCASE("with a supervisor") {}
    SUBCASE("without a supervisor") {
        out = "supervise=off";
    }
    return out;
}

struct LiveGround {
    explicit LiveGround(const std::string& more = supervised_or_not()) {
        if (is_standin()) skip("about plyfs itself");
        if (wanted_transport() == "io_uring") skip("rings end with the daemon that has them");
        write_file(a + "/f", "of a");
        write_file(c + "/g", "of c");
        make_dirs(c + "/only/there");
        mount = std::make_unique<Mount>("create=ff,minfreespace=0," + more, a + ":" + b, mnt);
    }
    std::string operator/(const std::string& name) const { return mnt + "/" + name; }
    // What it says, if it does it.
    std::string ask(std::vector<std::string> words) const {
        words.insert(words.begin() + 2, mnt);
        const Ran ran = run_plyctl(words);
        INFO(ran.out, ran.err);
        REQUIRE(ran.code == 0);
        return ran.out;
    }
    std::string refused(std::vector<std::string> words, int code = kFailure) const {
        words.insert(words.begin() + 2, mnt);
        const Ran ran = run_plyctl(words);
        INFO(ran.out, ran.err);
        CHECK(ran.code == code);
        CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
        return ran.err;
    }
    std::vector<std::string> branches() const {
        const Ran ran = run_plyctl({"status", mnt, "--json"});
        std::string fault;
        std::vector<std::string> out;
        const auto json = Json::read(ran.out, fault);
        REQUIRE_MESSAGE(json, fault);
        for (const Json& branch : (*json)["branches"].items()) out.push_back(branch["path"].text());
        return out;
    }
    std::int64_t takeovers() const { return static_cast<std::int64_t>(Stats::read(mnt)["takeovers"]); }
    Scratch scratch;
    const std::string a = scratch.dir("a"), b = scratch.dir("b"), c = scratch.dir("c"), mnt = scratch.dir("mnt");
    std::unique_ptr<Mount> mount;
};

using Names = std::vector<std::string>;

inline bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

inline pid_t parent_of(pid_t pid) {
    const std::string line = read_file("/proc/" + std::to_string(pid) + "/stat");
    return static_cast<pid_t>(std::stol(line.substr(line.rfind(')') + 4)));
}

inline int set_branches(const LiveGround& g, const std::string& text) {
    return ::setxattr((g / ".mergerfs").c_str(), "user.mergerfs.branches", text.data(), text.size(), 0) == 0 ? 0
                                                                                                             : errno;
}

}  // namespace plyfs::test

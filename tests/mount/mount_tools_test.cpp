// What a person sees and does with the tools he knows: findmnt, df, umount, fusermount3.
#include <fcntl.h>

#include <iterator>
#include <sstream>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/transport.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

std::vector<std::string> words_of(const std::string& text) {
    std::istringstream in(text);
    return {std::istream_iterator<std::string>(in), {}};
}

}  // namespace

TEST_CASE("mount tools: findmnt, df and mountpoint show what was mounted, where and from what") {
    if (is_standin()) skip("about plyfs itself");
    Pool pool;
    pool.mount();
    const std::string branches = pool.a + "=rw:" + pool.b + "=rw";
    const auto found = words_of(must_run({"findmnt", "-n", "-o", "TARGET,SOURCE,FSTYPE", pool.mnt()}).out);
    REQUIRE(found.size() == 3);
    CHECK(found[0] == pool.mnt());
    CHECK(found[1] == branches);
    CHECK(found[2] == "fuse.plyfs");
    CHECK(must_run({"findmnt", "-t", "fuse.plyfs", "-n", "-o", "TARGET"}).out.find(pool.mnt()) != std::string::npos);
    const auto shown = words_of(must_run({"df", "--output=source,fstype,target", pool.mnt()}).out);
    REQUIRE(shown.size() >= 3);
    CHECK(shown[shown.size() - 3] == branches);
    CHECK(shown[shown.size() - 2] == "fuse.plyfs");
    CHECK(shown.back() == pool.mnt());
    CHECK(run({"mountpoint", "-q", pool.mnt()}).ok());
}

TEST_CASE("mount tools: umount and fusermount3 end the daemon, and say it when somebody is inside") {
    if (is_standin()) skip("about plyfs itself");
    for (const std::vector<std::string>& tool :
         std::vector<std::vector<std::string>>{{"umount"}, {"fusermount3", "-u"}}) {
        CAPTURE(tool);
        if (!have_tool(tool[0])) continue;
        Pool pool;
        pool.mount();
        const pid_t daemon = pool.mounted().pid();
        std::vector<std::string> command = tool;
        command.push_back(pool.mnt());
        {
            const UniqueFd inside = open_file(pool / "f", O_CREAT | O_RDWR);
            const Ran busy = run(command);
            CHECK(busy.code != 0);
            CHECK(busy.err.find("busy") != std::string::npos);
            CHECK(is_mounted(pool.mnt()));
        }
        // What was closed is let go of a moment later.
        CHECK(eventually([&] { return run(command).ok(); }));
        CHECK_FALSE(is_mounted(pool.mnt()));
        CHECK(eventually([&] { return !is_alive(daemon); }));
        CHECK(list_dir(pool.mnt()).empty());
    }
}

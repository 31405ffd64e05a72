#include <doctest/doctest.h>

#include <string>

#include "config/config_file.h"
#include "config/error.h"

using namespace plyfs::config;

namespace {

Config example(const std::string& name) {
    Draft draft;
    draft.base = "/";
    read_config_file(std::string(PLYFS_EXAMPLES) + "/" + name, draft);
    CHECK(draft.errors == std::vector<std::string>{});
    const Config config = settle(draft, true);
    CHECK(draft.notices == std::vector<std::string>{});
    return config;
}

}  // namespace

TEST_CASE("the example configurations are right") {
    const Config network = example("network-pool.yaml");
    CHECK(network.branches.size() == 3);
    CHECK(network.pool.rules.size() == 2);
    CHECK(network.pool.missing == BranchesMissing::degraded);

    const Config pool = example("pool.yaml");
    CHECK_FALSE(pool.layered);
    CHECK(pool.branches.size() == 3);
    CHECK(pool.branches[2].mode == BranchMode::nc);
    CHECK(pool.pool.policies.of(Function::create) == Policy::mfs);

    const Config rootfs = example("rootfs.yaml");
    CHECK(rootfs.layered);
    CHECK(rootfs.branches.size() == 3);
    CHECK_FALSE(rootfs.workdir.empty());

    const Config merge = example("merge.yaml");
    CHECK(merge.layered);
    CHECK(merge.read_only);
    CHECK_FALSE(merge.exec);
    CHECK(merge.fsname == "all-docs");
}

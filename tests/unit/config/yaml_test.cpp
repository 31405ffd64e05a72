#include "config/yaml.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "config/error.h"
#include "config/option_words.h"

using namespace plyfs::config;

namespace {

Draft read(const std::string& text) {
    Draft draft;
    draft.base = "/etc/plyfs";
    read_yaml_text(text, "pool.yaml", draft);
    return draft;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("YAML: a whole pool") {
    Draft draft = read(
        "branches:\n"
        "  - /srv/a=rw\n"
        "  - {path: /srv/b:c=x, mode: RO}\n"
        "  - path: rel\n"
        "mountpoint: /srv/pool\n"
        "create: mfs\n"
        "allow_other: false\n"
        "ro: no\n"
        "noatime: true\n"
        "entry-timeout: 2.5\n"
        "log_level: debug\n");
    REQUIRE(draft.errors == Lines{});
    const Config c = settle(draft, true);
    REQUIRE(c.branches.size() == 3);
    CHECK(c.branches[0].path == "/srv/a");
    CHECK(c.branches[1].path == "/srv/b:c=x");
    CHECK(c.branches[1].mode == BranchMode::ro);
    CHECK(c.branches[2].path == "/etc/plyfs/rel");
    CHECK(c.mountpoint == "/srv/pool");
    CHECK(c.pool.policies.of(Function::create) == Policy::mfs);
    CHECK_FALSE(c.allow_other);
    CHECK(c.kernel_options == Lines{"noatime"});
    CHECK(c.entry_timeout == 2.5);
    CHECK(c.log_level == plyfs::log::Level::debug);
}

TEST_CASE("YAML: layers as a list or as in -o") {
    for (const char* text :
         {"lowerdir: [/a, /b]\nupperdir: /u\nworkdir: /w\n", "lowerdir: /a:/b\nupperdir: /u\nworkdir: /w\n"}) {
        Draft draft = read(text);
        draft.config.mountpoint = "/m";
        REQUIRE(draft.errors == Lines{});
        const Config c = settle(draft, true);
        CHECK(c.branches.size() == 3);
        CHECK(c.branches[2].path == "/b");
    }
    CHECK(*read("lowerdir: ['/a:b', '/c\\d']").lowerdirs == Lines{"/a:b", "/c\\d"});
}

TEST_CASE("YAML: what is about layers") {
    Draft draft = read(
        "lowerdir: /a::/d1\n"
        "datadir+: [/d2, 'd:3']\n"
        "uidmapping: 0:100000:65536\n"
        "metacopy: on\n"
        "fsync: 0\n"
        "sync: 0\n"
        "xattr_permissions: 2\n"
        "mountpoint: /m\n");
    REQUIRE(draft.errors == Lines{});
    const Config c = settle(draft, true);
    CHECK(c.data_layers == 3);
    CHECK(c.branches.back().path == "/etc/plyfs/d:3");
    CHECK(c.layers.uids.size() == 1);
    CHECK(c.layers.metacopy);
    CHECK_FALSE(c.layers.sync);
    CHECK(c.layers.stat_override == StatOverride::user);
    // In a file "sync: 0" is the flag of mount(2), switched off.
    CHECK(read("sync: 0\n").config.layers.sync);
    CHECK(read("sync: 1\n").config.kernel_options == Lines{"sync"});
}

TEST_CASE("YAML: faults carry file, line, column and key, all at once") {
    const Draft draft = read(
        "creat: mfs\n"
        "create: best\n"
        "timeout: [1, 2]\n"
        "branches:\n"
        "  - /a=rx\n"
        "  - {path: /b, color: red}\n"
        "  - {mode: ro}\n"
        "  - [x]\n"
        "ro: maybe\n"
        "ro: true\n"
        "config: other.yaml\n"
        "fsname:\n");
    const Lines starts = {
        "pool.yaml:1:1: unknown option 'creat'; did you mean 'create'?",
        "pool.yaml:2:9: create: unknown policy 'best'",
        "pool.yaml:3:10: timeout: one value is wanted",
        "pool.yaml:5:5: branches: unknown branch mode 'rx'",
        "pool.yaml:6:5: branches: a branch has no 'color'",
        "pool.yaml:7:5: branches: a branch has no path",
        "pool.yaml:8:5: branches: a branch is 'DIR=MODE,MINFREE'",
        "pool.yaml:9:5: ro: 'maybe' is neither true nor false",
        "pool.yaml:10:1: ro: set twice",
        "pool.yaml:11:1: config: a file can not name another one",
        "pool.yaml:12:1: fsname: a value is missing",
    };
    REQUIRE(draft.errors.size() == starts.size());
    for (std::size_t i = 0; i < starts.size(); ++i) {
        CAPTURE(draft.errors[i]);
        CHECK(draft.errors[i].starts_with(starts[i]));
    }
}

TEST_CASE("YAML: a NUL byte is no part of any value") {
    for (const char* text : {"branches: [\"/a\\0/b\"]\n", "branches: [{path: \"/a\\0\"}]\n", "fsname: \"x\\0y\"\n"}) {
        CAPTURE(text);
        const Draft draft = read(text);
        REQUIRE(draft.errors.size() == 1);
        CHECK(draft.errors[0].find("NUL") != std::string::npos);
    }
}

TEST_CASE("YAML: a fault of options together has the place of the first of them that a file set") {
    const auto first_fault = [](const std::string& text, const std::string& words) {
        Draft draft = read(text);
        draft.config.mountpoint = "/m";
        apply_words(draft, split_words(words));
        try {
            settle(draft, true);
        } catch (const Error& error) {
            return error.messages()[0];
        }
        return std::string("none");
    };
    const std::string pool = "branches: [/a, /b]\n";
    CHECK(
        first_fault(pool + "supervise: on\ntransport: io_uring\n", "").starts_with("pool.yaml:2:1: supervise=on and"));
    CHECK(first_fault(pool + "workdir: /w\n", "").starts_with("pool.yaml:2:1: workdir= serves one"));
    CHECK(first_fault("branches: [/a, /a]\n", "").starts_with("pool.yaml:1:1: directory /a is named twice"));
    CHECK(first_fault(pool + "transport: io_uring\n", "supervise=on").starts_with("pool.yaml:2:1: supervise=on and"));
    CHECK(first_fault(pool + "workdir: /w\n", "workdir=/v").starts_with("workdir= serves one"));
    CHECK(first_fault("upperdir: /u\n", "lowerdir=/l").starts_with("pool.yaml:1:1: upperdir= needs workdir="));
}

TEST_CASE("YAML: branches with free space and patterns") {
    const Draft draft = read(
        "branches:\n"
        "  - {path: '/a,b=c', mode: NC, minfreespace: 10%}\n"
        "  - {path: /disk*, minfreespace: 5g}\n"
        "  - '/x\\:y=RW,1M'\n"
        "  - {path: '/br\\[x]\\y'}\n");
    REQUIRE(draft.errors == Lines{});
    CHECK((*draft.branches)[3].path == "/br[x]\\y");
    CHECK_FALSE((*draft.branches)[3].pattern);
    const auto& branches = *draft.branches;
    CHECK(branches[0].path == "/a,b=c");
    CHECK(branches[0].mode == BranchMode::nc);
    CHECK(branches[0].min_free == MinFree{std::nullopt, 0.1});
    CHECK_FALSE(branches[0].pattern);
    CHECK(branches[1].pattern);
    CHECK(branches[1].min_free == MinFree{5ULL << 30, std::nullopt});
    CHECK(branches[2].path == "/x:y");
    CHECK(branches[2].min_free == MinFree{1 << 20, std::nullopt});
}

TEST_CASE("YAML: rules") {
    const Draft draft = read(
        "rules:\n"
        "  - {path: /films/, branches: [/d1, d2], policy: mfs}\n"
        "  - {name: '*.iso', uid: 5, gid: 6, policy: ff}\n"
        "  - {path: /x, uid: 7, uid: 8, policy: ff}\n"
        "  - {path: /x, branches: []}\n"
        "  - {path: /x, policy: mfz}\n"
        "  - word\n");
    CHECK(draft.errors.size() == 4);
    CHECK(draft.errors[2] == "pool.yaml:6:5: rules: unknown policy 'mfz'; did you mean 'mfs'?");
    REQUIRE(draft.config.pool.rules.size() == 2);
    const PlacementRule& films = draft.config.pool.rules[0];
    CHECK(films.path == "/films");
    CHECK(films.branches == Lines{"/d1", "/etc/plyfs/d2"});
    CHECK(films.policy == Policy::mfs);
    CHECK(films.place == "pool.yaml:2:5");
    const PlacementRule& images = draft.config.pool.rules[1];
    CHECK(images.name == "*.iso");
    CHECK(images.uid == 5U);
    CHECK(images.gid == 6U);
    CHECK(images.branches.empty());
    CHECK(read("rules: {path: /x}\n").errors.size() == 1);
}

TEST_CASE("YAML: what is no map of options") {
    CHECK(read("").errors.empty());
    CHECK(read("# nothing\n").errors.empty());
    for (const char* text :
         {"- a\n- b\n", "word", "a: [1, 2\n", "a: b: c\n", "[x]: y\n", "\ta: 1\n", "ro: true\n---\ncreate: mfs\n"}) {
        CAPTURE(text);
        const Draft draft = read(text);
        REQUIRE(draft.errors.size() == 1);
        CAPTURE(draft.errors[0]);
        CHECK(draft.errors[0].starts_with("pool.yaml:"));
    }
}

TEST_CASE("YAML: words of -o win over the file, wherever config= stands") {
    const auto path = std::filesystem::temp_directory_path() / ("plyfs-yaml-test-" + std::to_string(::getpid()));
    std::ofstream(path) << "create: mfs\nbranches: [/a, sub]\ntimeout: 5\nmountpoint: /m\n";
    Draft draft;
    draft.base = "/cwd";
    apply_words(draft, split_words("create=ff,config=" + path.string() + ",attr_timeout=1"));
    const Config c = settle(draft, true);
    CHECK(c.pool.policies.of(Function::create) == Policy::ff);
    CHECK(c.entry_timeout == 5.0);
    CHECK(c.attr_timeout == 1.0);
    CHECK(c.branches[1].path == path.parent_path().string() + "/sub");
    CHECK(draft.base == "/cwd");
    std::filesystem::remove(path);

    for (const char* bad : {"/nonexistent/x.yaml", "/"}) {
        Draft faulty;
        apply_words(faulty, split_words(std::string("config=") + bad));
        REQUIRE(faulty.errors.size() == 1);
        CHECK(faulty.errors[0].find("can not be read") != std::string::npos);
    }
}

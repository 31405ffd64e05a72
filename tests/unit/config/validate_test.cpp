#include "config/validate.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <functional>

using namespace plyfs::config;
namespace fs = std::filesystem;

namespace {

// A folder of its own with directories a, b, l1, l2, u, w, m, u/in, m/in, a file, and a link to a.
class Folder {
  public:
    Folder() {
        std::string pattern = (fs::temp_directory_path() / "plyfs-validate-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()));
        root_ = fs::canonical(pattern).string();
        for (const char* d : {"a", "b", "l1", "l2", "u/in", "w", "m/in"}) fs::create_directories(root_ + "/" + d);
        std::ofstream(root_ + "/file") << "x";
        fs::create_directory_symlink("a", root_ + "/link");
        fs::create_directory_symlink("loop", root_ + "/loop");
    }
    ~Folder() {
        std::error_code ignored;
        fs::remove_all(root_, ignored);
    }
    std::string operator/(const std::string& name) const { return root_ + "/" + name; }

    Config pool(const std::vector<std::string>& names, const std::string& mountpoint = "m") const {
        Config config;
        for (const auto& name : names) config.branches.push_back({*this / name, BranchMode::rw, name});
        config.mountpoint = *this / mountpoint;
        return config;
    }
    Config layers(const std::string& upper, const std::string& work, const std::string& mountpoint = "m") const {
        Config config;
        config.layered = true;
        if (!upper.empty()) config.branches.push_back({*this / upper, BranchMode::rw, upper});
        for (const char* name : {"l1", "l2"}) config.branches.push_back({*this / name, BranchMode::ro, name});
        if (!work.empty()) config.workdir = *this / work;
        config.mountpoint = *this / mountpoint;
        return config;
    }

  private:
    std::string root_;
};

std::vector<std::string> faults(Config config) {
    try {
        validate(config);
    } catch (const Error& e) {
        CHECK(e.exit_code() == ExitCode::mount);
        for (const auto& line : e.messages()) {
            CHECK(line.find('\n') == std::string::npos);
            CHECK(line.find("; ") != std::string::npos);  // how to mend it
        }
        return e.messages();
    }
    return {};
}

}  // namespace

TEST_CASE("labels are dropped where there is no SELinux") {
    Config config;
    config.kernel_options = {"noatime", "context=\"a:b:c:s0:c1,c2\"", "rootcontext=x", "max_read=1"};
    HostFacts facts;
    facts.selinux = true;
    CHECK(fit_to_host(config, facts).empty());
    CHECK(config.kernel_options.size() == 4);
    facts.selinux = false;
    const auto notices = fit_to_host(config, facts);
    CHECK(notices == std::vector<std::string>{"option context has no effect: SELinux is not in use",
                                              "option rootcontext has no effect: SELinux is not in use"});
    CHECK(config.kernel_options == std::vector<std::string>{"noatime", "max_read=1"});
}

TEST_CASE("requests are no larger than the kernel sends, which is said") {
    Config config;
    HostFacts facts;
    facts.max_request = 256 * 4096;
    config.max_request = 256 * 4096;
    CHECK(fit_to_host(config, facts).empty());
    config.max_request = 512 * 4096;
    const auto notices = fit_to_host(config, facts);
    REQUIRE(notices.size() == 1);
    CHECK(notices[0].find("beyond 256 pages") != std::string::npos);
    CHECK(config.max_request == facts.max_request);
}

TEST_CASE("validate: good configurations, paths made canonical") {
    const Folder folder;
    Config pool = folder.pool({"link/", "b"});
    CHECK(validate(pool).empty());
    CHECK(pool.branches[0].path == folder / "a");
    CHECK_FALSE(pool.read_only);
    Config layers = folder.layers("u", "w");
    CHECK(validate(layers).empty());
    CHECK(layers.workdir == folder / "w");
}

TEST_CASE("validate: without a writable branch the mount is read-only, with a notice") {
    const Folder folder;
    Config merge = folder.layers("", "");
    CHECK(validate(merge).size() == 1);
    CHECK(merge.read_only);
    Config quiet = folder.layers("", "");
    quiet.drop_in = true;
    CHECK(validate(quiet).empty());
    CHECK(quiet.read_only);
    Config asked = folder.layers("", "");
    asked.read_only = true;
    CHECK(validate(asked).empty());
}

TEST_CASE("validate: a layer may hold the mountpoint and the directories that are written to") {
    const Folder folder;
    fs::create_directories(folder / "l1/m");
    Config apart = folder.layers("u", "w");
    CHECK(validate(apart).empty());
    CHECK_FALSE(apart.layers.inside_lower);
    Config whole = folder.layers("u", "w", "l1/m");
    CHECK(validate(whole).empty());
    CHECK(whole.branches[1].holds_mountpoint);
    CHECK_FALSE(whole.branches.front().holds_mountpoint);
    for (const char* name : {"l1/u", "l1/w"}) fs::create_directories(folder / name);
    Config inside = folder.layers("l1/u", "l1/w");
    CHECK(validate(inside).empty());
    CHECK(inside.layers.inside_lower);
}

TEST_CASE("validate: each fault says what, where and how to mend it") {
    const Folder folder;
    struct Row {
        const char* name;
        Config config;
        std::string fault;  // what the only line begins with; "@/" stands for the folder
    };
    const Row rows[] = {
        {"missing branch", folder.pool({"a", "none"}), "branch @/none: no such directory"},
        {"file as branch", folder.pool({"a", "file"}), "branch @/file: not a directory"},
        {"link in a circle", folder.pool({"loop"}), "branch @/loop: its symbolic links go in a circle"},
        {"twice through a link", folder.pool({"a", "link"}), "branch @/link: the same directory as branch @/a"},
        {"inside another", folder.pool({"u", "u/in"}), "branch @/u/in: lies inside branch @/u, which can be written"},
        {"branch is mountpoint", folder.pool({"m"}), "mountpoint @/m: is also branch @/m"},
        {"mountpoint in branch", folder.pool({"u"}, "u/in"), "mountpoint @/u/in: lies inside branch @/u"},
        {"branch in mountpoint", folder.pool({"m/in"}), "branch @/m/in: lies inside the mountpoint @/m"},
        {"missing mountpoint", folder.pool({"a"}, "none"), "mountpoint @/none: no such directory; create it"},
        {"file as mountpoint", folder.pool({"a"}, "file"), "mountpoint @/file: not a directory"},
        {"missing workdir", folder.layers("u", "none"), "workdir @/none: no such directory"},
        {"workdir is upper", folder.layers("u", "u"), "workdir @/u: overlaps upperdir @/u"},
        {"workdir in upper", folder.layers("u", "u/in"), "workdir @/u/in: overlaps upperdir @/u"},
        {"upper in workdir", folder.layers("u/in", "u"), "workdir @/u: overlaps upperdir @/u/in"},
        {"workdir is mountpoint", folder.layers("u", "m"), "mountpoint @/m: is also workdir @/m"},
        {"lower is upper", folder.layers("l1", "w"), "lowerdir @/l1: the same directory as upperdir @/l1"},
    };
    for (Row row : rows) {
        CAPTURE(row.name);
        for (std::size_t at; (at = row.fault.find('@')) != std::string::npos;) {
            row.fault.replace(at, 2, folder / "");
        }
        const auto lines = faults(row.config);
        REQUIRE(lines.size() == 1);
        CAPTURE(lines[0]);
        CHECK(lines[0].starts_with(row.fault));
    }
}

TEST_CASE("validate: all faults at once") {
    const Folder folder;
    CHECK(faults(folder.pool({"none1", "file", "none2"}, "none3")).size() == 4);
}

TEST_CASE("validate: a work directory on another file system") {
    const Folder folder;
    Config config = folder.layers("u", "w");
    config.workdir = "/proc/self";  // any directory that is surely elsewhere
    const auto lines = faults(config);
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].find("not on the same file system as upperdir") != std::string::npos);
}

TEST_CASE("validate: lower layers may lie inside each other, and hold the upper one") {
    const Folder folder;
    Config config = folder.layers("u/in", "w");
    config.branches.push_back({folder / "u", BranchMode::ro, "u"});
    CHECK(validate(config).empty());
}

TEST_CASE("the host: not root, no device, no permission") {
    const std::pair<HostFacts, ExitCode> rows[] = {
        {{false, true, true}, ExitCode::usage},
        {{true, false, false}, ExitCode::system},
        {{true, true, false}, ExitCode::system},
    };
    for (const auto& [facts, code] : rows) {
        try {
            check_host(facts);
            FAIL("accepted");
        } catch (const Error& e) {
            CHECK(e.exit_code() == code);
            CHECK(e.messages().size() == 1);
        }
    }
    CHECK_NOTHROW(check_host({true, true, true}));
    CHECK_NOTHROW(find_host_facts());
}

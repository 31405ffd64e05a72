// plyctl against mounts that are served.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "support/check.h"
#include "support/files.h"
#include "support/loop_fs.h"
#include "support/mount.h"
#include "support/plyctl.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/scratch.h"
#include "support/trees.h"

using namespace plyfs::test;
using plyfs::Json;

namespace {

struct Ground {
    Ground() : a(scratch.dir("a")), b(scratch.dir("b")), mnt(scratch.dir("mnt")) {
        if (is_standin()) skip("about plyfs itself");
    }
    std::string branches() const { return a + ":" + b; }
    Scratch scratch;
    std::string a, b, mnt;
};

std::string done(const std::vector<std::string>& args) {
    const Ran ran = run_plyctl(args);
    INFO("exit code ", ran.code, "\n", ran.out, ran.err);
    REQUIRE(ran.code == 0);
    CHECK(ran.err.empty());
    return ran.out;
}

Json json_of(const std::vector<std::string>& args) {
    std::vector<std::string> all = args;
    all.push_back("--json");
    const Ran ran = run_plyctl(all);
    INFO("exit code ", ran.code, "\n", ran.out, ran.err);
    std::string fault;
    const auto json = Json::read(ran.out, fault);
    REQUIRE_MESSAGE(json, fault);
    return *json;
}

// What it says on stderr, in one line that begins with its name.
std::string refused(int code, const std::vector<std::string>& args) {
    const Ran ran = run_plyctl(args);
    INFO(ran.out, ran.err);
    CHECK(ran.code == code);
    CHECK(ran.err.find("plyctl: ") == 0);
    CHECK(ran.err.find('\n') == ran.err.size() - 1);
    return ran.err;
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

std::string part_of(const Json& explained, const std::string& branch) {
    for (const Json& on : explained["branches"].items()) {
        if (on["branch"].text() == branch) return on["part"].text();
    }
    return "(no such branch)";
}

std::string why_of(const Json& explained, const std::string& branch) {
    for (const Json& on : explained["branches"].items()) {
        if (on["branch"].text() == branch) return on["why"].text();
    }
    return "(no such branch)";
}

}  // namespace

TEST_CASE("plyctl: list and status tell of a pool") {
    Ground g;
    Mount mount("create=ff", g.branches(), g.mnt);
    make_dirs(mount / "d");
    const std::string list = done({"list"});
    CHECK(has(list, g.mnt));
    CHECK(has(list, std::to_string(mount.pid())));
    for (const std::string& place : {g.mnt, mount / "d", mount / "d/"}) {
        CAPTURE(place);
        const Json status = json_of({"status", place});
        CHECK(status["mountpoint"].text() == g.mnt);
        CHECK(status["pid"].number() == static_cast<std::uint64_t>(mount.pid()));
        CHECK(status["kind"].text() == "pool");
        CHECK(status["type"].text() == "fuse.plyfs");
        CHECK(status["transport"].text() == mount.stats().text("transport"));
        CHECK(status["coherence"].text() == mount.stats().text("coherence"));
        const auto& branches = status["branches"].items();
        REQUIRE(branches.size() == 2);
        CHECK(branches[0]["path"].text() == g.a);
        CHECK(branches[1]["mode"].text() == "rw");
        CHECK(branches[1]["present"].is_true());
        CHECK(eventually([&] { return json_of({"status", g.mnt})["branches"].items()[1]["total"].number() > 0; }));
    }
    const std::string text = done({"status", g.mnt});
    CHECK(has(text, g.mnt + ": pool of 2 branches"));
    CHECK(has(text, g.b));
    CHECK(has(done({"status"}), g.a));
}

TEST_CASE("plyctl: status tells of layers, and a branch that is missing") {
    if (is_standin()) skip("about plyfs itself");
    Layers layers;
    layers.mount();
    const Json status = json_of({"status", layers.mnt()});
    CHECK(status["kind"].text() == "layers");
    REQUIRE(status["branches"].items().size() == 3);
    CHECK(status["branches"].items()[0]["available"].number() > 0);
    CHECK(status["branches"].items()[2]["mode"].text() == "ro");
    Ground g;
    Mount mount("branches-missing=degraded", g.a + ":" + g.scratch.path() + "/none", g.mnt);
    CHECK_FALSE(json_of({"status", g.mnt})["branches"].items()[1]["present"].is_true());
    CHECK(has(done({"status", g.mnt}), "missing"));
    CHECK(has(done({"list"}), "1 missing"));
}

TEST_CASE("plyctl: explain says which copy answers and what is hidden") {
    Ground g;
    make_dirs(g.a + "/d");
    make_dirs(g.b + "/d");
    write_file(g.a + "/d/both", "a");
    write_file(g.b + "/d/both", "bb");
    write_file(g.b + "/d/\xff odd", "b");
    Mount mount("create=ff", g.branches(), g.mnt);
    const Json both = json_of({"explain", mount / "d/both"});
    CHECK(both["seen"].is_true());
    CHECK(both["answers"].text() == g.a);
    CHECK(both["file"].text() == g.a + "/d/both");
    CHECK(part_of(both, g.a) == "answers");
    CHECK(part_of(both, g.b) == "copy");
    CHECK((both["read"]["mode"].text() == "passthrough") == (mount.stats().text("max_stack_depth") != "off"));
    const Json odd = json_of({"explain", mount / "d/\xff odd"});
    CHECK(odd["path"].text() == "d/\xff odd");
    CHECK(part_of(odd, g.a) == "none");
    CHECK(part_of(odd, g.b) == "answers");
    const std::string other = g.scratch.dir("other");
    const Mounted bound(mount / "d", other, "", MS_BIND, "");
    CHECK(json_of({"explain", other + "/both"})["path"].text() == "d/both");
    CHECK(done({"list"}).find(other) == std::string::npos);
    const Json dir = json_of({"explain", mount / "d"});
    CHECK(part_of(dir, g.b) == "merged");
    CHECK(part_of(json_of({"explain", g.mnt}), g.b) == "merged");
    CHECK(has(done({"explain", mount / "d/both"}), "copy"));

    const Ran none = run_plyctl({"explain", mount / "d/none"});
    CHECK(none.code == 1);
    CHECK(has(none.out, "nothing is seen"));
    CHECK(has(refused(1, {"explain", mount / "no/dir"}), "No such file"));
    // It is as it was: nobody is remembered whom the kernel does not know.
    const long nodes = mount.stats()["nodes"];
    for (int i = 0; i < 20; ++i) json_of({"explain", mount / "d/both"});
    CHECK(mount.stats()["nodes"] <= nodes);
}

TEST_CASE("plyctl: explain tells of whiteouts and copy-ups in layers") {
    if (is_standin()) skip("about plyfs itself");
    Layers layers;
    write_file(layers.lower + "/f", "f");
    write_file(layers.lower2 + "/f", "below");
    write_file(layers.lower + "/gone", "x");
    layers.mount();
    Json f = json_of({"explain", layers / "f"});
    CHECK(f["answers"].text() == layers.lower);
    CHECK(f["copied_up_first"].is_true());
    OK(::unlink((layers / "gone").c_str()));
    const Json gone = json_of({"explain", layers / "gone"});
    CHECK_FALSE(gone["seen"].is_true());
    CHECK(part_of(gone, layers.upper) == "whiteout");
    CHECK(has(why_of(gone, layers.lower), "hidden"));
    write_file(layers / "f", "new");
    f = json_of({"explain", layers / "f"});
    CHECK(part_of(f, layers.upper) == "answers");
    CHECK(part_of(f, layers.lower) == "hidden");
    CHECK_FALSE(f["copied_up_first"].is_true());
}

TEST_CASE("plyctl: explain --create says where a new name would go, and why not elsewhere") {
    Ground g;
    make_dirs(g.b + "/only");
    Mount mount("create=epff,minfreespace=0", g.branches(), g.mnt);
    const Json placed = json_of({"explain", "--create", mount / "only/new"});
    CHECK(placed["goes_to"].text() == g.b);
    CHECK(placed["policy"].text() == "epff");
    CHECK(has(why_of(placed, g.a), "that have the directory"));
    CHECK_FALSE(exists(mount / "only/new"));
    write_file(mount / "only/new", "x");
    CHECK(exists(g.b + "/only/new"));
    CHECK(json_of({"explain", "--create", mount / "only/new"})["exists"].is_true());
    done({"set", g.mnt, "minfreespace=100%"});
    const Ran full = run_plyctl({"explain", "--create", mount / "only/more"});
    CHECK(full.code == 1);
    CHECK(has(full.out, "No space left"));
    CHECK(has(full.out, "minfreespace"));
    CHECK(try_open(mount / "only/more", O_CREAT | O_WRONLY) == ENOSPC);
    done({"branch", "mode", g.mnt, g.a, "nc"});
    CHECK(has(why_of(json_of({"explain", "--directory", mount / "other"}), g.a), "nc"));
}

TEST_CASE("plyctl: options are told and changed") {
    Ground g;
    Mount mount("create=ff,minfreespace=0", g.branches(), g.mnt);
    CHECK(done({"get", g.mnt, "func.create"}) == "ff\n");
    CHECK(has(done({"get", g.mnt}), "minfreespace=0\n"));
    CHECK(json_of({"get", g.mnt, "func.mkdir", "mountpoint"})["mountpoint"].text() == g.mnt);
    // By any name that it can be given by.
    CHECK(done({"get", g.mnt, "create"}) == "ff\n");
    CHECK(done({"get", g.mnt, "entry_timeout"}) == done({"get", g.mnt, "cache.entry"}));
    make_dirs(g.b + "/d");
    done({"set", g.mnt, "category.create=epff", "cache.entry=7.5"});
    write_file(mount / "d/f", "x");
    CHECK(exists(g.b + "/d/f"));
    CHECK(get_xattr(mount / ".plyfs", "user.plyfs.cache.entry") == "7.5");
    done({"set", g.mnt, "selection=newest"});
    CHECK(done({"get", g.mnt, "func.getattr"}) == "newest\n");
    CHECK(has(refused(1, {"set", g.mnt, "create=nearest"}), "create"));
    CHECK(has(refused(1, {"set", g.mnt, "transport=devfuse"}), "mount again"));
    CHECK(has(refused(1, {"set", g.mnt, "creat=ff"}), "did you mean 'create'?"));
    CHECK(has(refused(2, {"set", g.mnt, "create"}), "OPTION=VALUE"));
    CHECK(has(refused(1, {"get", g.mnt, "no-such"}), "unknown option"));
    CHECK(done({"get", g.mnt, "func.create"}) == "epff\n");
}

TEST_CASE("plyctl: layers have what is not about pools") {
    if (is_standin()) skip("about plyfs itself");
    Layers layers;
    layers.mount();
    done({"set", layers.mnt(), "entry_timeout=5"});
    CHECK(done({"get", layers.mnt(), "cache.entry"}) == "5\n");
    CHECK(json_of({"status", layers.mnt()})["timeouts"]["entry"].real() == 5);
    CHECK(has(refused(1, {"set", layers.mnt(), "create=ff"}), "about pools"));
    CHECK(json_of({"explain", "--create", layers.mnt() + "/new"})["policy"].is_nothing());
    CHECK_FALSE(has(run_plyctl({"explain", "--create", layers.mnt() + "/new"}).out, "policy"));
    CHECK(has(refused(1, {"branch", "mode", layers.mnt(), layers.lower, "nc"}), "layers have no modes"));
}

TEST_CASE("plyctl: reload takes what can change, and names what can not") {
    Ground g;
    const std::string file = g.scratch / "pool.yaml";
    const auto write = [&](const std::string& more) {
        write_file(file, "branches: [" + g.a + ", " + g.b + "]\nmountpoint: " + g.mnt + "\n" + more);
    };
    write("create: ff\nminfreespace: 0\n");
    Mount mount("config=" + file, "", g.mnt);
    CHECK(has(done({"reload", g.mnt}), "nothing changed"));
    write("create: ff\nminfreespace: 1M\nlink-cow: on\nsymlinkify: on\nrules:\n  - {path: /r, branches: [" + g.b +
          "]}\n");
    const Json done_json = json_of({"reload", g.mnt});
    CHECK(done_json["changed"].write() == R"(["minfreespace","rules","link-cow"])");
    CHECK(done_json["kept"].write() == R"(["symlinkify"])");
    CHECK(done({"get", g.mnt, "minfreespace"}) == "1048576\n");
    CHECK(done({"get", g.mnt, "symlinkify"}) == "false\n");
    make_dirs(mount / "r");
    CHECK(exists(g.b + "/r"));
    CHECK_FALSE(exists(g.a + "/r"));
    // What was set by hand, or is no longer written, is as it is written.
    done({"set", g.mnt, "create=lfs"});
    write("create: ff\n");
    const std::string told = done({"reload", g.mnt});
    CHECK(has(told, "minfreespace"));
    CHECK(done({"get", g.mnt, "func.create"}) == "ff\n");
    CHECK(done({"get", g.mnt, "link-cow"}) == "false\n");
    // Nothing of a file with faults.
    write("create: lfs\nminfreespace: many\nno-such: 1\n");
    CHECK(has(refused(1, {"reload", g.mnt}), "2 faults"));
    write("create: lfs\nminfreespace: many\n");
    CHECK(has(refused(1, {"reload", g.mnt}), file + ":4:"));
    CHECK(done({"get", g.mnt, "func.create"}) == "ff\n");
}

TEST_CASE("plyctl: a branch takes new names or none") {
    Ground g;
    Mount mount("create=ff,minfreespace=0", g.branches() + ":" + g.scratch.dir("c") + "=ro", g.mnt);
    done({"branch", "mode", g.mnt, g.a, "nc"});
    write_file(mount / "one", "1");
    CHECK(exists(g.b + "/one"));
    CHECK(json_of({"status", g.mnt})["branches"].items()[0]["mode"].text() == "nc");
    CHECK(has(done({"get", g.mnt, "branches"}), g.a + "=NC"));
    write_file(g.a + "/old", "old");
    write_file(mount / "old", "changed");
    CHECK(read_file(g.a + "/old") == "changed");
    done({"branch", "mode", g.mnt, g.a, "rw"});
    write_file(mount / "two", "2");
    CHECK(exists(g.a + "/two"));
    CHECK(has(refused(1, {"branch", "mode", g.mnt, "/none", "rw"}), "no branch"));
    CHECK(has(refused(2, {"branch", "mode", g.mnt, g.a, "wr"}), "wr"));
}

TEST_CASE("plyctl: metrics and top count what is done") {
    Ground g;
    Mount mount("create=ff", g.branches(), g.mnt);
    write_file(mount / "f", "f");
    std::string page;
    // How long a request took is known only after its answer.
    CHECK(eventually([&] {
        page = done({"metrics", g.mnt});
        return has(page, "operation=\"create\",le=\"+Inf\"} 1\n");
    }));
    CHECK(has(page, "plyfs_requests_total{mountpoint=\"" + g.mnt + "\",operation=\"create\"} 1\n"));
    CHECK(has(page, "# TYPE plyfs_request_duration_seconds histogram\n"));
    CHECK(has(page, "plyfs_branch_present{mountpoint=\"" + g.mnt + "\",branch=\"" + g.b + "\",mode=\"rw\"} 1\n"));
    CHECK(has(done({"metrics"}), g.mnt));
    Child busy([&] {
        for (int i = 0; i < 400; ++i) {
            const int fd = ::open((g.mnt + "/n" + std::to_string(i)).c_str(), O_CREAT | O_WRONLY, 0644);
            if (fd < 0) return errno;
            ::close(fd);
            nap(2);
        }
        return 0;
    });
    nap(100);
    const Json top = json_of({"top", g.mnt, "--count=1", "--interval=0.3"});
    CHECK(top["operations"]["create"]["per_second"].real() > 1);
    CHECK(top["operations"]["create"]["p50_ns"].number() > 0);
    CHECK(top["operations"]["create"]["p50_ns"].number() <= top["operations"]["create"]["p99_ns"].number());
    CHECK(top["opens_by_kernel"].real() == (mount.stats()["opens.passthrough"] > 0 ? 1 : 0));
    CHECK(has(done({"top", "--count=1", "--interval=0.2"}), "create"));
    CHECK(busy.wait() == 0);
}

TEST_CASE("plyctl: fsck says where copies differ") {
    Ground g;
    for (const std::string& branch : {g.a, g.b}) {
        make_dirs(branch + "/d");
        write_file(branch + "/d/same", "same");
        write_file(branch + "/d/size", branch == g.a ? "size" : "longer");
        write_file(branch + "/d/bytes", branch == g.a ? "bytes" : "BYTES");
        write_file(branch + "/time", "time");
        write_file(branch + "/mode", "mode", branch == g.a ? 0644 : 0600);
        const timespec then[2] = {{1000, 0}, {1000, 0}};
        for (const std::string name : {"/d/same", "/d/size", "/d/bytes", "/mode"}) {
            OK(::utimensat(AT_FDCWD, (branch + name).c_str(), then, 0));
        }
        const timespec other[2] = {{1000, 0}, {branch == g.a ? 1000 : 2000, 0}};
        OK(::utimensat(AT_FDCWD, (branch + "/time").c_str(), other, 0));
    }
    make_dirs(g.a + "/type");
    write_file(g.b + "/type", "file");
    write_file(g.b + "/alone", "alone");
    Mount mount("", g.branches(), g.mnt);
    const Ran ran = run_plyctl({"fsck", g.mnt});
    INFO(ran.out, ran.err);
    CHECK(ran.code == 1);
    CHECK(has(ran.out, "/d/size: 4 bytes on " + g.a + ", 6 bytes on " + g.b + "\n"));
    CHECK(has(ran.out, "/time: changed at 1000.000000000 on "));
    CHECK(has(ran.out, "/mode: mode 0644"));
    CHECK(has(ran.out, "/type: a directory on " + g.a + ", a file on " + g.b + "\n"));
    CHECK(has(ran.out, g.mnt + ": 7 names on several branches, 4 differences\n"));
    CHECK_FALSE(has(ran.out, "bytes: "));
    CHECK_FALSE(has(ran.out, "same"));
    CHECK(has(run_plyctl({"fsck", "--content", g.mnt}).out, "/d/bytes: other content"));
    for (const std::string name : {"/d/size", "/time", "/mode", "/type"})
        OK(::rename((g.b + name).c_str(), (g.b + "/x").c_str()));
    CHECK(run_plyctl({"fsck", g.mnt}).code == 0);
    CHECK(json_of({"fsck", "--content", g.mnt})["found"].items().size() == 1);
}

TEST_CASE("plyctl: reload names what was set by hand, and what the command line goes before") {
    Ground g;
    const std::string file = g.scratch / "pool.yaml";
    const std::string head = "branches: [" + g.a + ", " + g.b + "]\nmountpoint: " + g.mnt + "\n";
    write_file(file, head + "create: ff\nminfreespace: 0\n");
    Mount mount("config=" + file + ",create=mfs", "", g.mnt);
    done({"set", g.mnt, "minfreespace=2M", "func.open=newest"});
    const Json done_json = json_of({"reload", g.mnt});
    CHECK(done_json["changed"].write() == R"(["func.open","minfreespace"])");
    CHECK(done_json["overruled"].write() == R"(["create"])");
    CHECK(done({"get", g.mnt, "create"}) == "mfs\n");
    CHECK(has(done({"reload", g.mnt}), "goes before the file for: create"));
}

TEST_CASE("plyctl: the options that a mount has are told, those of the other use are not") {
    if (is_standin()) skip("about plyfs itself");
    Ground g;
    Mount pool("passthrough=off", g.branches(), g.mnt);
    CHECK(done({"get", g.mnt, "passthrough"}) == "off\n");
    CHECK(done({"get", g.mnt, "max-stack-depth"}) == "auto\n");
    CHECK(has(refused(1, {"get", g.mnt, "metacopy"}), "about layers"));
    CHECK(has(refused(1, {"get", g.mnt, "timeout"}), "ask for these"));
    CHECK(has(refused(1, {"get", g.mnt, "rules"}), "its value is not told"));
    CHECK(has(refused(1, {"get", g.mnt, "threaded"}), "no effect"));
    Layers layers;
    layers.mount("metacopy=on");
    CHECK(done({"get", layers.mnt(), "metacopy"}) == "true\n");
    CHECK(done({"get", layers.mnt(), "lowerdir"}) == layers.lower + ":" + layers.lower2 + "\n");
    CHECK(done({"get", layers.mnt(), "upperdir"}) == layers.upper + "\n");
    CHECK(has(done({"get", layers.mnt()}), "redirect_dir"));
    CHECK_FALSE(has(done({"get", layers.mnt()}), "category.create"));
    CHECK(has(refused(1, {"get", layers.mnt(), "create"}), "about pools"));
}

TEST_CASE("plyctl: config check says all that is wrong, and where") {
    Ground g;
    const std::string file = g.scratch / "c.yaml";
    write_file(file, "create: mfs\nbranches: [/a, /b]\n");
    CHECK(has(done({"config", "check", file}), "in order"));
    write_file(file, "minfreespace: 4G\n");
    CHECK(has(done({"config", "check", file}), "in order"));
    write_file(file, "create: nearest\nbranches: [/a=rx]\ncreat: ff\n");
    const Ran bad = run_plyctl({"config", "check", file});
    CHECK(bad.code == 1);
    for (const std::string place : {":1:9: ", ":2:12: ", ":3:1: "}) CHECK(has(bad.out, file + place));
    CHECK(json_of({"config", "check", file})["faults"].items().size() == 3);
    CHECK(run_plyctl({"config", "check", g.scratch / "none.yaml"}).code == 1);
    const std::string rules = "rules:\n- path: /x\n  branches: [" + g.scratch.path() + "/other]\n";
    write_file(file, rules);
    CHECK(has(done({"config", "check", file}), "in order"));  // a command line may name the branches
    write_file(file, "branches: [" + g.scratch.path() + "]\n" + rules);
    const Ran stray = run_plyctl({"config", "check", file});
    CHECK(stray.code == 1);
    CHECK(has(stray.out, "is no branch of this pool"));
}

TEST_CASE("plyctl: bad input is one line and the right exit code") {
    Ground g;
    CHECK(has(refused(2, {}), "--help"));
    CHECK(has(refused(2, {"statu"}), "did you mean"));
    CHECK(has(refused(2, {"status", "--wide"}), "--wide"));
    CHECK(has(refused(1, {"status", g.a}), "not in a mount of plyfs"));
    CHECK(has(refused(1, {"status", g.a + "/none"}), "No such file"));
    CHECK(has(refused(1, {"status"}), "nothing of plyfs is mounted"));
    CHECK(done({"list"}).empty());
    Mount mount("", g.branches(), g.mnt);
    CHECK(has(done({"--help"}), "usage: plyctl"));
    CHECK(has(done({"--version"}), "plyctl "));
}

TEST_CASE("plyctl: set --save changes the configuration file, and only that line") {
    Ground g;
    const std::string file = g.scratch / "c.yaml";
    const std::string text = "# Ours.\nbranches: [" + g.a + ", " + g.b + "]\nminfreespace: 1M  # little\n";
    write_file(file, text, 0640);
    OK(::chown(file.c_str(), 12, 34));
    Mount mount("config=" + file, "", g.mnt);
    done({"set", g.mnt, "minfreespace=2M"});
    CHECK(read_file(file) == text);
    done({"set", "--save", g.mnt, "minfreespace=3M", "create=ff"});
    CHECK(read_file(file) == "# Ours.\nbranches: [" + g.a + ", " + g.b + "]\nminfreespace: 3M  # little\ncreate: ff\n");
    CHECK((stat_of(file).st_mode & 07777) == 0640);
    CHECK(stat_of(file).st_uid == 12);
    CHECK(list_dir(g.scratch.path()) == std::vector<std::string>{"a", "b", "c.yaml", "mnt"});
    done({"reload", g.mnt});
    CHECK(done({"get", g.mnt, "minfreespace"}) == "3145728\n");
    CHECK(done({"get", g.mnt, "func.create"}) == "ff\n");
    refused(1, {"set", "--save", g.mnt, "minfreespace=much"});
    // What the file says elsewhere would win the next time.
    const std::string before = "branches: [" + g.a + "]\ncreate: ff\nfunc.create: mfs\n";
    write_file(file, before);
    CHECK(has(refused(1, {"set", "--save", g.mnt, "create=lfs"}), "another option in it goes before create"));
    CHECK(read_file(file) == before);
    const std::string other = g.scratch.dir("other");
    Mount plain("", g.branches(), other);
    CHECK(has(refused(1, {"set", "--save", other, "minfreespace=1M"}), "no configuration file"));
}

#include "config/draft.h"

#include <doctest/doctest.h>

#include "config/error.h"
#include "config/option_words.h"

using namespace plyfs::config;

namespace {

Draft draft_of(const std::string& options) {
    Draft draft;
    draft.base = "/";
    draft.config.mountpoint = "/m";
    apply_words(draft, split_words(options));
    return draft;
}

std::string first_fault(const std::string& options) {
    Draft draft = draft_of(options);
    try {
        settle(draft, true);
    } catch (const Error& e) {
        CHECK(e.exit_code() == ExitCode::usage);
        return e.messages().front();
    }
    return "";
}

}  // namespace

TEST_CASE("layers become branches, the upper one first") {
    Draft draft = draft_of("lowerdir=/l1:/l2,upperdir=/u,workdir=/w");
    const Config c = settle(draft, true);
    CHECK(c.layered);
    CHECK(c.workdir == "/w");
    REQUIRE(c.branches.size() == 3);
    CHECK(c.branches[0].path == "/u");
    CHECK(c.branches[0].mode == BranchMode::rw);
    CHECK(c.branches[1].path == "/l1");
    CHECK(c.branches[1].mode == BranchMode::ro);
    CHECK(c.branches[2].path == "/l2");
    CHECK(draft.notices.empty());
}

TEST_CASE("layers without an upper one are read-only branches") {
    Draft draft = draft_of("lowerdir=/l1:/l2");
    const Config c = settle(draft, true);
    CHECK(c.branches.size() == 2);
    CHECK(c.branches[0].mode == BranchMode::ro);
    draft = draft_of("lowerdir=/l1,workdir=/w");
    CHECK(settle(draft, true).workdir.empty());
    CHECK(draft.notices.size() == 1);
}

TEST_CASE("a later option wins over an earlier one") {
    Draft draft = draft_of("lowerdir=/a,lowerdir=/b:/c");
    CHECK(settle(draft, true).branches[0].path == "/b");
}

TEST_CASE("sync writes through the daemon, as the kernel passes it on to no branch") {
    Draft draft = draft_of("branches=/a,sync");
    CHECK(settle(draft, true).passthrough == Passthrough::off);
    CHECK(draft.notices.size() == 1);
    draft = draft_of("branches=/a,sync,passthrough=off");
    CHECK(settle(draft, true).passthrough == Passthrough::off);
    CHECK(draft.notices.empty());
    draft = draft_of("branches=/a,sync,async");
    CHECK(settle(draft, true).passthrough == Passthrough::automatic);
    draft = draft_of("branches=/a,dirsync");
    CHECK(settle(draft, true).kernel_options.empty());
    CHECK(draft.notices.size() == 1);
}

TEST_CASE("what does not go together is refused") {
    const std::pair<std::string, std::string> rows[] = {
        {"", "there is nothing to merge"},
        {"upperdir=/u,workdir=/w", "upperdir= has no layer below it"},
        {"lowerdir=/l,upperdir=/u", "upperdir= needs workdir="},
        {"lowerdir=/l,branches=/a", "branches= and lowerdir= exclude each other"},
        {"branches=/a:/b:/a/", "directory /a is named twice"},
        {"lowerdir=/l,upperdir=/l,workdir=/w", "directory /l is named twice"},
        {"branches=/a:/b,workdir=/w", "workdir= serves one writable branch, and there are 2"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.first);
        CHECK(first_fault(row.first).starts_with(row.second));
    }
    std::string many = "lowerdir=/l";
    for (int i = 0; i < 499; ++i) many += ":/l" + std::to_string(i);
    CHECK(first_fault(many).empty());
    CHECK(first_fault(many + ":/one").starts_with("lowerdir= names 501 directories"));
}

TEST_CASE("a pool may have a work directory for its only writable branch") {
    Draft draft = draft_of("branches=/a:/b=ro,workdir=/w");
    CHECK(settle(draft, true).workdir == "/w");
    draft = draft_of("branches=/a=ro:/b=ro,workdir=/w");
    CHECK(settle(draft, true).workdir.empty());
    CHECK(draft.notices.size() == 1);
}

TEST_CASE("a pool's option in a layered mount is told to have no effect, once") {
    Draft draft = draft_of("lowerdir=/l,create=mfs,create=ff");
    settle(draft, true);
    CHECK(draft.notices ==
          std::vector<std::string>{"option create has no effect with lowerdir=: all changes go to upperdir"});
}

TEST_CASE("lowerdir+ and datadir+ append, lowerdir begins anew") {
    const std::pair<std::string, std::vector<std::string>> rows[] = {
        {"lowerdir+=/a,lowerdir+=/b:c", {"/a", "/b:c"}},
        {"lowerdir=/a:/b,lowerdir+=/c", {"/a", "/b", "/c"}},
        {"lowerdir=/a::/d1,datadir+=/d2", {"/a", "/d1", "/d2"}},
        {"lowerdir+=/x,datadir+=/y,lowerdir=/a", {"/a"}},
        {"lowerdir+=/a,datadir+=/d", {"/a", "/d"}},
    };
    const int data[] = {0, 0, 2, 0, 1};
    for (std::size_t i = 0; i < std::size(rows); ++i) {
        CAPTURE(rows[i].first);
        Draft draft = draft_of(rows[i].first);
        const Config c = settle(draft, true);
        std::vector<std::string> paths;
        for (const auto& branch : c.branches) paths.push_back(branch.path);
        CHECK(paths == rows[i].second);
        CHECK(c.data_layers == data[i]);
    }
    CHECK(first_fault("datadir+=/d,lowerdir+=/a").starts_with("option lowerdir+: a layer can not follow"));
    CHECK(first_fault("datadir+=/d").starts_with("data-only layers have no layer above them"));
    CHECK(first_fault("lowerdir=/a::/d:/b").starts_with("option lowerdir: '/b' follows a data-only layer"));
    std::string many = "lowerdir=/l";
    for (int i = 0; i < 500; ++i) many += "::/d" + std::to_string(i);
    CHECK(first_fault(many).starts_with("lowerdir= names 501 directories"));
}

TEST_CASE("what is for layers has no effect on a pool, and says so") {
    Draft draft = draft_of("branches=/a,volatile,static_nlink,volatile");
    const Config c = settle(draft, true);
    CHECK(c.layers.sync);
    CHECK_FALSE(c.layers.static_nlink);
    CHECK(draft.notices.size() == 2);
    CHECK(draft.notices[0] == "option volatile has no effect without lowerdir=: it is about layers");
}

TEST_CASE("squash_to_root gives way to a user or group that is named") {
    Draft draft = draft_of("lowerdir=/l,squash_to_root");
    Config c = settle(draft, true);
    CHECK(c.layers.squash_uid == 0);
    CHECK(c.layers.squash_gid == 0);
    draft = draft_of("lowerdir=/l,squash_to_uid=7,squash_to_root");
    c = settle(draft, true);
    CHECK(c.layers.squash_uid == 7);
    CHECK(c.layers.squash_gid == 0);
}

TEST_CASE("a missing mountpoint is a fault beside the others") {
    Draft draft;
    try {
        settle(draft, true);
        FAIL("settled");
    } catch (const Error& e) {
        CHECK(e.messages().size() == 2);
        CHECK(std::string(e.what()).find('\n') != std::string::npos);
    }
}

TEST_CASE("words of pools change nothing in layers, which have handles by their own word") {
    const auto layers = [](const std::string& words) {
        Draft draft = draft_of("lowerdir=/l,upperdir=/u,workdir=/w," + words);
        return settle(draft, true).pool;
    };
    const auto plain = layers("atime");
    CHECK_FALSE(layers("noforget").files.handles);
    CHECK_FALSE(layers("nullrw").files.null_io);
    CHECK_FALSE(layers("symlinkify").files.symlinkify);
    CHECK(layers("copyup=off").copy_up);
    CHECK(layers("whiteouts=off").whiteouts);
    CHECK(layers("category.create=erofs").policies.of(Function::create) == plain.policies.of(Function::create));
    CHECK(layers("nfs_export=on").files.keep_nodes);
    CHECK_FALSE(layers("nfs_export=off").files.handles);
}

TEST_CASE("draft: a user's daemon starts fusermount3, and can not give that up") {
    Draft draft;
    draft.base = "/";
    draft.config.mountpoint = "/m";
    draft.config.seccomp = true;
    draft.config.branches.push_back({"/a", BranchMode::rw, "a"});
    CHECK_THROWS_WITH_AS(settle(draft, false), doctest::Contains("fusermount3"), Error);
}

TEST_CASE("a number out of range is told the range, however far out it is") {
    const std::pair<const char*, const char*> kRanges[] = {{"busy-poll", "0 to 10000"},
                                                           {"threads", "-512 to 512"},
                                                           {"readahead", "0 to 1048576"},
                                                           {"scheduling-priority", "-20 to 19"}};
    for (const auto& [name, range] : kRanges) {
        for (const char* number : {"10000000", "99999999999999999999", "-99999999999999999999"}) {
            CAPTURE(name);
            const Draft draft = draft_of(std::string(name) + "=" + number);
            REQUIRE(draft.errors.size() == 1);
            CHECK(draft.errors[0].find(range) != std::string::npos);
        }
        const Draft draft = draft_of(std::string(name) + "=7x");
        REQUIRE(draft.errors.size() == 1);
        CHECK(draft.errors[0].find("no whole number") != std::string::npos);
    }
}

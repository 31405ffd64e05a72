#include <algorithm>

#include "overlay/resolver.h"

#include "branches.h"
#include "overlay/listing.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

// What lies at the name on a branch: - nothing, f file, l symlink, d directory, o opaque directory, w
// whiteout.
void make(const std::string& path, char kind) {
    if (kind == 'f') write_file(path, "x");
    if (kind == 'l') REQUIRE(::symlink("nowhere", path.c_str()) == 0);
    if (kind == 'd' || kind == 'o') make_dir(path);
    if (kind == 'o') make_opaque(path);
    if (kind == 'w') make_whiteout(path);
}

std::string winner_text(const Result<Resolved>& found) {
    if (!found) return found.failed_with(ENOENT) ? "-" : "error " + std::to_string(found.error().value());
    std::string out = std::to_string(found->branch);
    if (sys::is_dir(found->st)) {
        out += ":";
        for (auto layer : found->layers) out += std::to_string(layer);
    } else {
        CHECK(found->layers.empty());
    }
    return out;
}

std::string hits_text(const Result<std::vector<Hit>>& hits) {
    if (!hits) return "error " + std::to_string(hits.error().value());
    std::string out;
    for (const Hit& hit : *hits) out += std::to_string(hit.branch) + (hit.whiteout ? "w" : "");
    return out;
}

// What the rules say for layers with marks: first hit wins unless a whiteout came before, and a directory
// goes on collecting directories until one is opaque or something else comes.
std::string expected_winner(const std::string& kinds) {
    std::string layers;
    for (std::size_t i = 0; i < kinds.size(); ++i) {
        const char kind = kinds[i];
        if (kind == '-') continue;
        if (kind == 'w') break;
        if (kind == 'f' || kind == 'l') {
            if (layers.empty()) return std::to_string(i);
            break;
        }
        layers += std::to_string(i);
        if (kind == 'o') break;
    }
    if (layers.empty()) return "-";
    return layers.substr(0, 1) + ":" + layers;
}

std::string expected_hits(const std::string& kinds) {
    std::string out;
    for (std::size_t i = 0; i < kinds.size(); ++i) {
        if (kinds[i] == '-') continue;
        out += std::to_string(i);
        if (kinds[i] != 'w') continue;
        out += "w";
        break;
    }
    return out;
}

}  // namespace

TEST_CASE("resolver: some answers by hand") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "wrr");
    REQUIRE(set->uses_marks());
    struct Row {
        const char* kinds;
        const char* winner;
        const char* hits;
    };
    const Row rows[] = {
        {"---", "-", ""},       {"f--", "0", "0"},     {"--f", "2", "2"},       {"fff", "0", "012"},
        {"wff", "-", "0w"},     {"-wf", "-", "1w"},    {"ddd", "0:012", "012"}, {"odd", "0:0", "012"},
        {"dod", "0:01", "012"}, {"dwd", "0:0", "01w"}, {"dfd", "0:0", "012"},   {"d-d", "0:02", "02"},
        {"fdd", "0", "012"},    {"wdd", "-", "0w"},    {"-od", "1:1", "12"},    {"ldd", "0", "012"},
    };
    int number = 0;
    for (const Row& row : rows) {
        INFO(std::string(row.kinds));
        const std::string name = "n" + std::to_string(number++);
        for (int i = 0; i < 3; ++i) make(scratch / (std::to_string(i) + "/" + name), row.kinds[i]);
        const Layers root = layers_at(*set, "");
        CHECK(winner_text(find_winner(*set, root, name_of(name.c_str()))) == row.winner);
        CHECK(hits_text(find_all(*set, root, name_of(name.c_str()))) == row.hits);
        CHECK(expected_winner(row.kinds) == row.winner);  // the rule used below is the one meant
        CHECK(expected_hits(row.kinds) == row.hits);
    }
}

TEST_CASE("resolver: every combination of kinds on three branches") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    const std::string all = "-fldow";
    for (const char* modes : {"wrr", "rrr"}) {
        const std::string base = scratch / modes;
        make_dir(base);
        auto set = make_branches(base, modes);
        REQUIRE(set->uses_marks());
        std::vector<std::string> combinations;
        for (char a : all) {
            for (char b : all) {
                for (char c : all) combinations.push_back({a, b, c});
            }
        }
        for (const auto& kinds : combinations) {
            for (std::size_t i = 0; i < 3; ++i) make(base + "/" + std::to_string(i) + "/" + kinds, kinds[i]);
        }
        const Layers root = layers_at(*set, "");
        for (const auto& kinds : combinations) {
            CAPTURE(kinds);
            CHECK(winner_text(find_winner(*set, root, name_of(kinds.c_str()))) == expected_winner(kinds));
            CHECK(hits_text(find_all(*set, root, name_of(kinds.c_str()))) == expected_hits(kinds));
        }
    }
}

namespace {

// More forms of the same: a AUFS' whiteout, F file and D directory beside one, x whiteout with an attribute, e an empty
// file that is none, u n q opaque as marked by others.
void make_form(const std::string& dir, const std::string& name, char kind) {
    const std::string path = dir + "/" + name;
    const auto set = [&](const char* attribute) { REQUIRE(::setxattr(path.c_str(), attribute, "y", 1, 0) == 0); };
    if (kind == 'a' || kind == 'F' || kind == 'D') write_file(dir + "/.wh." + name, "");
    if (kind == 'e' || kind == 'x') write_file(path, "");
    if (kind == 'x') set("user.overlay.whiteout");
    if (kind == 'u' || kind == 'n' || kind == 'q') make_dir(path);
    if (kind == 'u') set("user.overlay.opaque");
    if (kind == 'n') set("user.fuseoverlayfs.opaque");
    if (kind == 'q') write_file(path + "/.wh..wh..opq", "");
    make(path, kind == 'F' ? 'f' : kind == 'D' ? 'd' : kind);
}

// The letter of the plain form that means the same to whoever looks for the winner.
std::string plain(std::string kinds) {
    for (char& kind : kinds) {
        if (kind == 'a' || kind == 'x') kind = 'w';
        if (kind == 'F' || kind == 'e') kind = 'f';
        if (kind == 'D' || kind == 'u' || kind == 'n' || kind == 'q') kind = 'o';
    }
    return kinds;
}

std::string expected_form_hits(const std::string& kinds) {
    std::string out;
    for (std::size_t i = 0; i < kinds.size(); ++i) {
        const char kind = kinds[i];
        if (kind == '-') continue;
        const std::string branch = std::to_string(i);
        const bool beside = kind == 'F' || kind == 'D';
        const bool whiteout = plain({kind}) == "w";
        out += whiteout ? branch + "w" : beside ? branch + branch + "w" : branch;
        if (whiteout || beside) break;
    }
    return out;
}

}  // namespace

TEST_CASE("resolver: every form of a mark on every branch, whatever form is written") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    const std::string all = "-fdowaFDxeunq";
    using Whiteout = MarkRules::Whiteout;
    for (auto [modes, written] : {std::pair{"wrr", Whiteout::device},
                                  {"rrr", Whiteout::device},
                                  {"wr", Whiteout::file},
                                  {"wr", Whiteout::xattr}}) {
        const std::string base = scratch / (modes + std::to_string(static_cast<int>(written)));
        make_dir(base);
        auto set = make_branches(base, modes);
        set->set_marks({.whiteout = written});
        const std::size_t branches = static_cast<std::size_t>(set->size());
        std::vector<std::string> combinations = {""};
        for (std::size_t i = 0; i < branches; ++i) {
            REQUIRE(::setxattr((base + "/" + std::to_string(i)).c_str(), "user.overlay.opaque", "x", 1, 0) == 0);
            std::vector<std::string> longer;
            for (const auto& kinds : combinations) {
                for (char kind : all) longer.push_back(kinds + kind);
            }
            combinations = std::move(longer);
        }
        for (const auto& kinds : combinations) {
            for (std::size_t i = 0; i < branches; ++i) make_form(base + "/" + std::to_string(i), kinds, kinds[i]);
        }
        const Layers root = layers_at(*set, "");
        for (const auto& kinds : combinations) {
            CAPTURE(kinds);
            CHECK(winner_text(find_winner(*set, root, name_of(kinds.c_str()))) == expected_winner(plain(kinds)));
            CHECK(hits_text(find_all(*set, root, name_of(kinds.c_str()))) == expected_form_hits(kinds));
            const std::string mark = ".wh." + kinds;
            CHECK(find_winner(*set, root, name_of(mark.c_str())).failed_with(ENOENT));
        }
        // A listing sees what the resolver does.
        std::vector<std::string> listed, found;
        Listing listing(set, root, {});
        ListedEntry entry;
        while (listing.next(entry).value()) {
            if (entry.name != "." && entry.name != "..") listed.emplace_back(entry.name);
        }
        for (const auto& kinds : combinations) {
            if (expected_winner(plain(kinds)) != "-") found.push_back(kinds);
        }
        std::sort(listed.begin(), listed.end());
        std::sort(found.begin(), found.end());
        CHECK(listed == found);
    }
}

TEST_CASE("resolver: what has content or is no file of AUFS' is a user's file, whatever its name") {
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "wr");
    write_file(scratch / "0/.wh.notes", "content");
    write_file(scratch / "1/notes", "below");
    make_dir(scratch / "1/.wh.dir");
    write_file(scratch / "1/dir", "x");
    make_dir(scratch / "1/.wh..wh.plnk");
    write_file(scratch / "1/.wh..wh.aufs", "");
    const Layers root = layers_at(*set, "");
    CHECK(winner_text(find_winner(*set, root, name_of(".wh.notes"))) == "0");
    CHECK(winner_text(find_winner(*set, root, name_of("notes"))) == "1");
    CHECK(winner_text(find_winner(*set, root, name_of(".wh.dir"))) == "1:1");
    CHECK(winner_text(find_winner(*set, root, name_of("dir"))) == "1");
    for (const char* own : {".wh..wh.plnk", ".wh..wh.aufs"})
        CHECK(find_winner(*set, root, name_of(own)).failed_with(ENOENT));
    // To a pool, all of them are files.
    set->set_marks({.aufs = false});
    CHECK(winner_text(find_winner(*set, root, name_of(".wh..wh.aufs"))) == "1");
}

TEST_CASE("resolver: marks in trusted.* do not count where only user.* does") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "wrr");
    for (int i = 0; i < 3; ++i) make_dir(scratch / (std::to_string(i) + "/d"));
    make_opaque(scratch / "0/d");
    REQUIRE(::setxattr((scratch / "1/d").c_str(), "user.overlay.opaque", "y", 1, 0) == 0);
    const Layers root = layers_at(*set, "");
    CHECK(winner_text(find_winner(*set, root, name_of("d"))) == "0:0");
    set->set_marks({.user = true, .only_user = true});
    CHECK(winner_text(find_winner(*set, root, name_of("d"))) == "0:01");
}

TEST_CASE("resolver: without a read-only branch below, marks are ordinary objects") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "ww");
    REQUIRE_FALSE(set->uses_marks());
    make_whiteout(scratch / "0/device");
    write_file(scratch / "1/device", "below");
    make_dir(scratch / "0/dir");
    make_opaque(scratch / "0/dir");
    make_dir(scratch / "1/dir");
    const Layers root = layers_at(*set, "");
    CHECK(winner_text(find_winner(*set, root, name_of("device"))) == "0");
    CHECK(winner_text(find_winner(*set, root, name_of("dir"))) == "0:01");
    CHECK(hits_text(find_all(*set, root, name_of("device"))) == "01");
}

TEST_CASE("resolver: a symlink is not followed, and an absent layer has no entries") {
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "wr");
    make_dir(scratch / "0/d");
    make_dir(scratch / "1/d");
    write_file(scratch / "1/d/f", "x");
    REQUIRE(::symlink("../d", (scratch / "0/d/link").c_str()) == 0);
    const Layers layers = layers_at(*set, "d");
    REQUIRE(layers.size() == 2);
    auto link = find_winner(*set, layers, name_of("link"));
    REQUIRE(link);
    CHECK(S_ISLNK(link->st.stx_mode));
    // Removed on its branch while we hold it open.
    std::filesystem::remove_all(scratch / "0/d");
    CHECK(winner_text(find_winner(*set, layers, name_of("f"))) == "1");
    CHECK(hits_text(find_all(*set, layers, name_of("f"))) == "1");
    CHECK(winner_text(find_winner(*set, layers, name_of("link"))) == "-");
}

TEST_CASE("resolver: a directory shows the latest times of its writable branches") {
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "wwr");
    auto with_mtime = [&](const char* path, time_t seconds) {
        make_dir(scratch / path);
        const timespec times[2] = {{seconds, 0}, {seconds, 0}};
        REQUIRE(::utimensat(AT_FDCWD, (scratch / path).c_str(), times, 0) == 0);
    };
    with_mtime("0/d", 1000);
    with_mtime("1/d", 2000);
    with_mtime("2/d", 3000);
    auto found = find_winner(*set, layers_at(*set, ""), name_of("d"));
    REQUIRE(found);
    CHECK(found->st.stx_mtime.tv_sec == 2000);
    CHECK(found->st.stx_ino == lstat_or_fail(scratch / "0/d").st_ino);
}

TEST_CASE("resolver: no branches") {
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "w");
    CHECK(find_winner(*set, Layers{}, name_of("x")).failed_with(ENOENT));
    CHECK(find_all(*set, Layers{}, name_of("x")).value().empty());
    CHECK(find_winner(*set, layers_at(*set, ""), name_of(std::string(255, 'x').c_str())).failed_with(ENOENT));
}

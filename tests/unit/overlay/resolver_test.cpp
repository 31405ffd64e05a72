#include "overlay/resolver.h"

#include "branches.h"

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

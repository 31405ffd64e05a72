#include "overlay/listing.h"

#include <dirent.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "branches.h"

using namespace plyfs;
using namespace plyfs::test;

namespace {

using Names = std::vector<std::string>;

struct Seen {
    BranchIndex branch;
    std::uint64_t ino;
    unsigned char type;
};

Names drain(Listing& listing) {
    Names out;
    ListedEntry entry;
    for (;;) {
        auto more = listing.next(entry);
        REQUIRE(more);
        if (!*more) return out;
        CHECK(entry.name.data()[entry.name.size()] == '\0');
        out.emplace_back(entry.name);
    }
}

Names sorted(Names names) {
    std::sort(names.begin(), names.end());
    return names;
}

std::map<std::string, Seen> details(Listing& listing) {
    std::map<std::string, Seen> out;
    ListedEntry entry;
    while (listing.next(entry).value()) {
        const bool fresh = out.emplace(std::string(entry.name), Seen{entry.branch, entry.ino, entry.type}).second;
        CHECK_MESSAGE(fresh, "twice: " << entry.name);
    }
    return out;
}

// Reads by `batch` entries at a time, each batch from the offset the last one ended with, as NFS and a
// rewound descriptor do.
Names in_batches(Listing& listing, int batch) {
    Names out;
    std::int64_t offset = 0;
    for (;;) {
        REQUIRE(listing.seek(offset));
        ListedEntry entry;
        int got = 0;
        while (got < batch && listing.next(entry).value()) {
            out.emplace_back(entry.name);
            offset = entry.offset;
            ++got;
        }
        if (got < batch) return out;
    }
}

}  // namespace

TEST_CASE("listing: one of each name, from the branch of the highest priority") {
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "www");
    write_file(scratch / "0/both", "");
    write_file(scratch / "1/both", "");
    make_dir(scratch / "1/kind");
    write_file(scratch / "2/kind", "");
    write_file(scratch / "2/last", "");
    REQUIRE(::symlink("x", (scratch / "0/link").c_str()) == 0);
    REQUIRE(::mkfifo((scratch / "2/fifo").c_str(), 0600) == 0);
    Listing listing(set, layers_at(*set, ""), {});
    const auto found = details(listing);
    struct Row {
        const char* name;
        BranchIndex branch;
        unsigned char type;
    };
    const Row rows[] = {{".", 0, DT_DIR},    {"..", 0, DT_DIR},   {"both", 0, DT_REG}, {"kind", 1, DT_DIR},
                        {"last", 2, DT_REG}, {"link", 0, DT_LNK}, {"fifo", 2, DT_FIFO}};
    CHECK(found.size() == std::size(rows));
    for (const Row& row : rows) {
        INFO(std::string(row.name));
        REQUIRE(found.contains(row.name));
        const Seen& seen = found.at(row.name);
        CHECK(seen.branch == row.branch);
        CHECK(seen.type == row.type);
        if (std::string_view(row.name) != "..") {
            CHECK(seen.ino == lstat_or_fail(scratch / (std::to_string(row.branch) + "/" + row.name)).st_ino);
        }
    }
}

TEST_CASE("listing: whiteouts hide what is below and are not shown") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    for (const char* modes : {"wrr", "rrr"}) {
        const std::string base = scratch / modes;
        make_dir(base);
        auto set = make_branches(base, modes);
        make_whiteout(base + "/0/gone");
        write_file(base + "/1/gone", "");
        make_whiteout(base + "/0/nothing-below");
        make_whiteout(base + "/1/gone-in-the-middle");
        write_file(base + "/2/gone-in-the-middle", "");
        write_file(base + "/0/above", "");
        make_whiteout(base + "/1/above");
        REQUIRE(::mknod((base + "/1/null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0);
        Listing merged(set, layers_at(*set, ""), {});
        CHECK(sorted(drain(merged)) == Names{".", "..", "above", "null"});
        Layers alone = layers_at(*set, "");
        alone.resize(1);
        Listing single(set, alone, {});
        CHECK(sorted(drain(single)) == Names{".", "..", "above"});
    }
}

TEST_CASE("listing: in a plain pool a device 0:0 is a device") {
    PLYFS_NEEDS_ROOT();
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "ww");
    make_whiteout(scratch / "0/device");
    Listing merged(set, layers_at(*set, ""), {});
    CHECK(details(merged).at("device").type == DT_CHR);
}

TEST_CASE("listing: reserved names are left out, in one layer and in several") {
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "ww");
    for (const char* name : {".plyfs.work", ".plyfs.work1", ".plyfs", "x.plyfs.", ".plyfsx"}) {
        write_file(scratch / (std::string("0/") + name), "");
        write_file(scratch / (std::string("1/") + name), "");
    }
    const Names shown{".", "..", ".plyfs", ".plyfsx", "x.plyfs."};
    Listing merged(set, layers_at(*set, ""), {.work = true});
    CHECK(sorted(drain(merged)) == shown);
    Layers alone = layers_at(*set, "");
    alone.resize(1);
    Listing single(set, alone, {.work = true});
    CHECK(sorted(drain(single)) == shown);
    Listing all(set, alone, {});
    CHECK(drain(all).size() == shown.size() + 2);
    Listing controlled(set, alone, {.work = true, .control = true});
    CHECK(sorted(drain(controlled)) == Names{".", "..", ".plyfsx", "x.plyfs."});
}

TEST_CASE("listing: no layers, no entries") {
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "w");
    Listing listing(set, {}, {});
    CHECK(drain(listing).empty());
    CHECK(listing.seek(0));
    CHECK(listing.seek(17));
    CHECK(drain(listing).empty());
}

TEST_CASE("listing: offsets lead back to where they were given, one layer and several") {
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "ww");
    for (int i = 0; i < 300; ++i) write_file(scratch / (std::to_string(i % 2) + "/f" + std::to_string(i)), "");
    for (std::size_t layers : {1u, 2u}) {
        CAPTURE(layers);
        Layers some = layers_at(*set, "");
        some.resize(layers);
        Listing listing(set, some, {});
        const Names all = drain(listing);
        CHECK(all.size() == 2 + 150 * layers);
        CHECK(std::set<std::string>(all.begin(), all.end()).size() == all.size());
        for (int batch : {1, 7, 100, 1000}) CHECK(in_batches(listing, batch) == all);
        // Every offset once more, in any order.
        REQUIRE(listing.seek(0));
        std::vector<std::int64_t> offsets;
        ListedEntry entry;
        while (listing.next(entry).value()) offsets.push_back(entry.offset);
        for (std::size_t i = all.size() - 1; i-- > 0;) {
            REQUIRE(listing.seek(offsets[i]));
            REQUIRE(listing.next(entry).value());
            CHECK(entry.name == all[i + 1]);
        }
        // At the end there is nothing, however often one asks.
        REQUIRE(listing.seek(offsets.back()));
        CHECK_FALSE(listing.next(entry).value());
        CHECK_FALSE(listing.next(entry).value());
    }
}

TEST_CASE("listing: unread gives the last entry again, once") {
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "ww");
    for (int i = 0; i < 20; ++i) write_file(scratch / (std::to_string(i % 2) + "/f" + std::to_string(i)), "");
    for (std::size_t layers : {1u, 2u}) {
        CAPTURE(layers);
        Layers some = layers_at(*set, "");
        some.resize(layers);
        Listing plain(set, some, {});
        const Names all = drain(plain);
        Listing listing(set, some, {});
        Names out;
        ListedEntry entry;
        while (listing.next(entry).value()) {
            const std::string name(entry.name);
            const auto offset = entry.offset;
            listing.unread();
            REQUIRE(listing.next(entry).value());
            CHECK(entry.name == name);
            CHECK(entry.offset == offset);
            out.push_back(name);
        }
        CHECK(out == all);
        // A seek forgets what was to be given again.
        REQUIRE(listing.seek(0));
        REQUIRE(listing.next(entry).value());
        listing.unread();
        REQUIRE(listing.seek(0));
        CHECK(drain(listing) == all);
    }
}

TEST_CASE("listing: entries that come and go between two calls disturb no other") {
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "ww");
    Names stay;
    for (int i = 0; i < 200; ++i) {
        const std::string name = "stay" + std::to_string(i);
        stay.push_back(name);
        write_file(scratch / (std::to_string(i % 2) + "/" + name), "");
        write_file(scratch / (std::to_string(i % 2) + "/go" + std::to_string(i)), "");
    }
    for (std::size_t layers : {1u, 2u}) {
        CAPTURE(layers);
        Layers some = layers_at(*set, "");
        some.resize(layers);
        Listing listing(set, some, {});
        std::multiset<std::string> seen;
        std::int64_t offset = 0;
        ListedEntry entry;
        for (int round = 0;; ++round) {
            REQUIRE(listing.seek(offset));
            int got = 0;
            while (got < 10 && listing.next(entry).value()) {
                seen.emplace(entry.name);
                offset = entry.offset;
                ++got;
            }
            if (got == 0) break;
            for (int branch : {0, 1}) {
                const std::string in = scratch / std::to_string(branch);
                ::unlink((in + "/go" + std::to_string(2 * round + branch)).c_str());
                write_file(in + "/new" + std::to_string(round), "");
            }
        }
        for (std::size_t i = 0; i < stay.size(); ++i) {
            if (layers == 1 && i % 2 == 1) continue;
            CAPTURE(stay[i]);
            CHECK(seen.count(stay[i]) == 1);
        }
        for (int i = 0; i < 400; ++i) {
            for (int branch : {0, 1})
                ::unlink((scratch / (std::to_string(branch) + "/new" + std::to_string(i))).c_str());
            if (i < 200) write_file(scratch / (std::to_string(i % 2) + "/go" + std::to_string(i)), "");
        }
    }
}

TEST_CASE("listing: going back to the beginning reads anew") {
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "ww");
    write_file(scratch / "0/old", "");
    for (std::size_t layers : {1u, 2u}) {
        CAPTURE(layers);
        Layers some = layers_at(*set, "");
        some.resize(layers);
        Listing listing(set, some, {});
        CHECK(sorted(drain(listing)) == Names{".", "..", "old"});
        write_file(scratch / "0/new", "");
        REQUIRE(listing.seek(0));
        CHECK(sorted(drain(listing)) == Names{".", "..", "new", "old"});
        ::unlink((scratch / "0/new").c_str());
    }
}

TEST_CASE("listing: an offset of an earlier open directory, and offsets that nobody gave") {
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "ww");
    for (int i = 0; i < 10; ++i) write_file(scratch / (std::to_string(i % 2) + "/f" + std::to_string(i)), "");
    Listing first(set, layers_at(*set, ""), {});
    const Names all = drain(first);
    Listing second(set, layers_at(*set, ""), {});
    ListedEntry entry;
    REQUIRE(first.seek(0));
    for (int i = 0; i < 4; ++i) REQUIRE(first.next(entry).value());
    const auto offset = entry.offset;
    CHECK(offset <= std::numeric_limits<std::int32_t>::max());
    REQUIRE(second.seek(offset));
    CHECK(second.agrees(offset));
    CHECK(drain(second) == Names(all.begin() + 4, all.end()));
    const auto remove_first = [&](auto begin, auto end) {
        const auto name = std::find_if(begin, end, [](const std::string& one) { return one[0] == 'f'; });
        REQUIRE(name != end);
        for (const auto* root : {"0/", "1/"}) ::unlink((scratch / (root + *name)).c_str());
        REQUIRE(second.seek(0));
        REQUIRE(second.seek(offset));
    };
    remove_first(all.begin() + 4, all.end());
    CHECK(second.agrees(offset));
    remove_first(all.begin(), all.begin() + 4);
    CHECK_FALSE(second.agrees(offset));
    CHECK(second.agrees(0));
    for (std::int64_t wild : {std::int64_t{12}, std::int64_t{13}, std::int64_t{1} << 40, INT64_MAX}) {
        REQUIRE(second.seek(wild));
        CHECK_FALSE(second.next(entry).value());
    }
}

TEST_CASE("listing: names of 255 bytes, and ten thousand of them") {
    ScratchDir scratch;
    auto set = make_branches(scratch.path(), "ww");
    auto long_name = [](int i) {
        std::string name = std::to_string(i);
        return name + std::string(255 - name.size(), static_cast<char>('a' + i % 26));
    };
    std::set<std::string> expected{".", ".."};
    constexpr int kEntries = 10000;
    for (int i = 0; i < kEntries; ++i) {
        expected.insert(long_name(i));
        // Half on one branch, half on the other, every tenth on both.
        if (i % 2 == 0 || i % 10 == 1) open_or_fail(scratch / ("0/" + long_name(i)), O_CREAT | O_WRONLY);
        if (i % 2 == 1 || i % 10 == 0) open_or_fail(scratch / ("1/" + long_name(i)), O_CREAT | O_WRONLY);
    }
    Listing merged(set, layers_at(*set, ""), {});
    const Names all = drain(merged);
    CHECK(all.size() == kEntries + 2);
    CHECK(std::set<std::string>(all.begin(), all.end()) == expected);
    CHECK(in_batches(merged, 333) == all);
    Layers alone = layers_at(*set, "");
    alone.resize(1);
    Listing single(set, alone, {});
    const Names some = drain(single);
    CHECK(some.size() == kEntries * 6 / 10 + 2);
    CHECK(in_batches(single, 333) == some);
}

TEST_CASE(
    "listing: offsets of an unknown kind are told as they are where they are small, and not where they are large") {
    const auto proc = sys::open_root("/proc");
    REQUIRE(proc);
    const auto small = SmallOffsets::of(*proc, 0x7fffffff), large = SmallOffsets::of(*proc, 0x80000000);
    REQUIRE((small && *small));
    CHECK((*small)->told(0x7fffffff) == 0x7fffffff);
    CHECK((*small)->of_told(5) == 5);
    REQUIRE(large);
    CHECK_FALSE(large->has_value());
}

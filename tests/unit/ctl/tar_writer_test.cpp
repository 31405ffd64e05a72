// What a reader of archives finds in what is written; tests/mount/plyctl_layers_test.cpp asks tar(1) itself.
#include "ctl/tar_writer.h"

#include <doctest/doctest.h>

using namespace plyfs::ctl;

namespace {

std::string archive_of(const TarEntry& entry, const std::string& data = "") {
    std::string out;
    TarWriter tar([&](std::string_view bytes) { out += bytes; });
    tar.begin(entry);
    if (!data.empty()) tar.data(data);
    return out;
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("tar: what fits the classic header takes one block, and data whole ones") {
    TarEntry entry;
    entry.path = "dir/name";
    entry.mode = 04755;
    entry.uid = 1000;
    entry.size = 5;
    entry.seconds = 1234567890;
    const std::string out = archive_of(entry, "hello");
    REQUIRE(out.size() == 1024);
    CHECK(out.substr(0, 9) == std::string("dir/name\0", 9));
    CHECK(out.substr(100, 8) == std::string("0004755\0", 8));
    CHECK(out.substr(108, 8) == std::string("0001750\0", 8));
    CHECK(out.substr(124, 12) == std::string("00000000005\0", 12));
    CHECK(out.substr(136, 12) == std::string("11145401322\0", 12));
    CHECK(out.substr(257, 8) == std::string("ustar\00000", 8));
    CHECK(out[156] == '0');
    CHECK(out.substr(512, 6) == std::string("hello\0", 6));
    unsigned sum = 0;
    for (std::size_t i = 0; i < 512; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(out[i]);
    CHECK(std::stoul(out.substr(148, 6), nullptr, 8) == sum);
}

TEST_CASE("tar: what does not fit stands in records before the header") {
    TarEntry entry;
    entry.path = std::string(150, 'd') + "/" + std::string(90, 'f');
    CHECK(archive_of(entry).size() == 512);  // divided into prefix and name
    entry.path = std::string(150, 'd') + "/" + std::string(120, 'f');
    entry.seconds = -2;
    entry.nanoseconds = 750'000'000;
    entry.uid = 3'000'000'000;
    entry.attributes = {{"user.note", "a\nb"}};
    const std::string out = archive_of(entry);
    CHECK(out[156] == 'x');
    CHECK(has(out, "281 path=" + entry.path + "\n"));
    CHECK(has(out, "mtime=-1.250000000\n"));
    CHECK(has(out, "\n18 uid=3000000000\n"));
    CHECK(has(out, "SCHILY.xattr.user.note=a\nb\n"));
    CHECK(out.size() % 512 == 0);
    entry = TarEntry();
    entry.path = "l";
    entry.type = TarEntry::Type::symlink;
    entry.target = std::string(101, 't');
    CHECK(has(archive_of(entry), "linkpath=" + entry.target + "\n"));
}

#include "ctl/tar_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace plyfs::ctl {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kLongestName = 100, kLongestPrefix = 155;
constexpr std::uint64_t kLargestId = 07777777, kLargestNumber = 077777777777;

// ustar's header: where each field begins, and how long it is.
struct Field {
    std::size_t at, length;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12}, kTime{136, 12},
    kChecksum{148, 8}, kType{156, 1}, kTarget{157, 100}, kMagic{257, 8}, kMajor{329, 8}, kMinor{337, 8},
    kPrefix{345, 155};

class Header {
  public:
    void text(const Field& field, std::string_view value) {
        std::memcpy(bytes_.data() + field.at, value.data(), std::min(value.size(), field.length));
    }
    void number(const Field& field, std::uint64_t value) {
        text(field, fmt::format("{:0{}o}", value, field.length - 1));
    }
    std::string_view sealed() {
        text(kMagic, std::string_view("ustar\00000", 8));
        text(kChecksum, "        ");
        unsigned sum = 0;
        for (const char byte : bytes_) sum += static_cast<unsigned char>(byte);
        text(kChecksum, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
        return {bytes_.data(), bytes_.size()};
    }

  private:
    std::array<char, kBlock> bytes_{};
};

// "LENGTH KEY=VALUE\n", where the length counts its own digits.
std::string record(std::string_view key, std::string_view value) {
    const std::size_t rest = key.size() + value.size() + 3;
    std::size_t length = rest + 1;
    while (std::to_string(length).size() + rest != length) length = std::to_string(length).size() + rest;
    return fmt::format("{} {}={}\n", length, key, value);
}

// Where the path may be divided between prefix and name; npos: nowhere. 0: it fits the name alone.
std::size_t find_division(std::string_view path) {
    if (path.size() <= kLongestName) return 0;
    const std::size_t slash = path.find('/', path.size() - kLongestName - 1);
    return slash == std::string_view::npos || slash > kLongestPrefix || slash + 1 == path.size()
               ? std::string_view::npos
               : slash;
}

std::string records_of(const TarEntry& entry, const std::string& path) {
    std::string out;
    if (find_division(path) == std::string::npos) out += record("path", path);
    if (entry.target.size() > kLongestName) out += record("linkpath", entry.target);
    if (entry.uid > kLargestId) out += record("uid", std::to_string(entry.uid));
    if (entry.gid > kLargestId) out += record("gid", std::to_string(entry.gid));
    if (entry.size > kLargestNumber) out += record("size", std::to_string(entry.size));
    const bool plain =
        entry.nanoseconds == 0 && entry.seconds >= 0 && static_cast<std::uint64_t>(entry.seconds) <= kLargestNumber;
    if (!plain) {
        // Seconds are rounded down and a part is added: -1.25 is -2 and 750000000.
        const bool negative = entry.seconds < 0 && entry.nanoseconds > 0;
        const std::int64_t whole = negative ? entry.seconds + 1 : entry.seconds;
        const std::uint32_t part = negative ? 1'000'000'000 - entry.nanoseconds : entry.nanoseconds;
        out += record("mtime", fmt::format("{}{}.{:09}", negative && whole == 0 ? "-" : "", whole, part));
    }
    for (const auto& [name, value] : entry.attributes) out += record("SCHILY.xattr." + name, value);
    return out;
}

std::uint64_t fitting(std::uint64_t value, std::uint64_t largest) {
    return value <= largest ? value : 0;
}

void put_path(Header& header, std::string_view path) {
    const std::size_t division = find_division(path);
    const bool divided = division != 0 && division != std::string_view::npos;
    header.text(kName, divided ? path.substr(division + 1) : path);
    if (divided) header.text(kPrefix, path.substr(0, division));
}

}  // namespace

void TarWriter::write_blocks(std::string_view bytes) {
    write_(bytes);
    static constexpr std::array<char, kBlock> kZeros{};
    write_({kZeros.data(), (kBlock - bytes.size() % kBlock) % kBlock});
}

void TarWriter::begin(const TarEntry& entry) {
    const std::string path = entry.path + (entry.type == TarEntry::Type::directory ? "/" : "");
    if (const std::string records = records_of(entry, path); !records.empty()) {
        Header extended;
        put_path(extended, "PaxHeaders/" + entry.path.substr(entry.path.rfind('/') + 1).substr(0, 80));
        extended.number(kMode, 0644);
        extended.number(kUid, 0);
        extended.number(kGid, 0);
        extended.number(kSize, records.size());
        extended.number(kTime, 0);
        extended.text(kType, "x");
        write_(extended.sealed());
        write_blocks(records);
    }
    Header header;
    put_path(header, path);
    header.number(kMode, entry.mode);
    header.number(kUid, fitting(entry.uid, kLargestId));
    header.number(kGid, fitting(entry.gid, kLargestId));
    header.number(kSize, fitting(entry.size, kLargestNumber));
    header.number(kTime, entry.seconds < 0 ? 0 : fitting(static_cast<std::uint64_t>(entry.seconds), kLargestNumber));
    header.text(kType, std::string(1, static_cast<char>(entry.type)));
    header.text(kTarget, entry.target);
    header.number(kMajor, entry.major);
    header.number(kMinor, entry.minor);
    write_(header.sealed());
    left_ = size_ = entry.size;
}

void TarWriter::data(std::string_view bytes) {
    write_(bytes);
    left_ -= bytes.size();
    static constexpr std::array<char, kBlock> kZeros{};
    if (left_ == 0) write_({kZeros.data(), (kBlock - size_ % kBlock) % kBlock});
}

void TarWriter::finish() {
    static constexpr std::array<char, 2 * kBlock> kEnd{};
    write_({kEnd.data(), kEnd.size()});
}

}  // namespace plyfs::ctl

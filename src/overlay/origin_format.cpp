#include "overlay/origin_format.h"

#include <algorithm>
#include <bit>
#include <charconv>

namespace plyfs::origin {
namespace {

constexpr std::byte kVersion{0};
constexpr std::byte kMagic{0xfb};
constexpr std::byte kBigEndian{1};
constexpr std::byte kAnyEndian{2};
constexpr std::byte kUpper{4};
constexpr std::byte kOurEndian = std::endian::native == std::endian::big ? kBigEndian : std::byte{0};

// version, magic, length of all, flags, type of the handle, uuid, handle
constexpr std::size_t kHead = 5 + std::tuple_size_v<sys::FsUuid>;

bool has(std::byte flags, std::byte flag) {
    return (flags & flag) != std::byte{0};
}

}  // namespace

Bytes encode(const Origin& origin) {
    const std::size_t size = kHead + origin.handle.bytes.size();
    if (size > 255 || origin.handle.type < 0 || origin.handle.type > 255) return {};
    Bytes out{kVersion, kMagic, static_cast<std::byte>(size), kOurEndian | (origin.upper ? kUpper : std::byte{0}),
              static_cast<std::byte>(origin.handle.type)};
    out.insert(out.end(), origin.uuid.begin(), origin.uuid.end());
    out.insert(out.end(), origin.handle.bytes.begin(), origin.handle.bytes.end());
    return out;
}

std::optional<Origin> decode(std::span<const std::byte> stored) {
    if (stored.size() < kHead || stored[0] != kVersion || stored[1] != kMagic) return std::nullopt;
    const auto size = std::to_integer<std::size_t>(stored[2]);
    if (size < kHead || size > stored.size()) return std::nullopt;
    const std::byte flags = stored[3];
    if (has(flags, ~(kBigEndian | kAnyEndian | kUpper))) return std::nullopt;
    if (!has(flags, kAnyEndian) && (flags & kBigEndian) != kOurEndian) return std::nullopt;
    Origin out;
    out.upper = has(flags, kUpper);
    out.handle.type = std::to_integer<int>(stored[4]);
    std::copy_n(stored.begin() + 5, out.uuid.size(), out.uuid.begin());
    out.handle.bytes.assign(stored.begin() + kHead, stored.begin() + static_cast<std::ptrdiff_t>(size));
    return out;
}

std::string index_name(std::span<const std::byte> stored) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    out.reserve(stored.size() * 2);
    for (std::byte one : stored) {
        out.push_back(kDigits[std::to_integer<unsigned>(one) >> 4]);
        out.push_back(kDigits[std::to_integer<unsigned>(one) & 15]);
    }
    return out;
}

std::string encode(const LinkCount& count) {
    std::string out(count.from == LinkCount::From::upper ? "U" : "L");
    if (count.difference >= 0) out += '+';
    return out + std::to_string(count.difference);
}

std::optional<LinkCount> decode_link_count(std::string_view stored) {
    if (stored.size() < 3 || (stored[0] != 'U' && stored[0] != 'L')) return std::nullopt;
    if (stored[1] != '+' && stored[1] != '-') return std::nullopt;
    LinkCount out;
    out.from = stored[0] == 'U' ? LinkCount::From::upper : LinkCount::From::lower;
    stored.remove_prefix(stored[1] == '+' ? 2 : 1);
    const auto [end, error] = std::from_chars(stored.data(), stored.data() + stored.size(), out.difference);
    if (error != std::errc() || end != stored.data() + stored.size()) return std::nullopt;
    return out;
}

}  // namespace plyfs::origin

// What overlayfs stores so that a copied-up object is known as what it was: the form of overlay.origin, of the names in
// the index and of overlay.nlink. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sys/handle.h"

namespace plyfs::origin {

using Bytes = std::vector<std::byte>;

struct Origin {
    sys::FsUuid uuid{};
    sys::FileHandle handle;
    bool upper = false;  // names an object of the upper layer, as in overlay.upper
};
// Empty for a handle longer than the form can hold.
Bytes encode(const Origin& origin);
// None for what is no such value, or one of a later version, another byte order or with features not known here.
std::optional<Origin> decode(std::span<const std::byte> stored);

// The name of an object in the index: its stored origin in hexadecimal digits.
std::string index_name(std::span<const std::byte> stored);

// The names that the union has of an indexed object, as a difference to the link count of the copy in the upper layer
// (which counts the index too) or to that of the original.
struct LinkCount {
    enum class From { upper, lower };
    From from = From::upper;
    int difference = 0;
    friend bool operator==(const LinkCount&, const LinkCount&) = default;
};
std::string encode(const LinkCount& count);
std::optional<LinkCount> decode_link_count(std::string_view stored);

}  // namespace plyfs::origin

// How many bytes make up the next character of UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

namespace plyfs {

// 1 to 4; 0: the bytes at the beginning are no character (RFC 3629: no surrogates, nothing longer than need be).
std::size_t utf8_length(std::string_view text);

}  // namespace plyfs

// What a fuzz target is: one function that takes bytes from outside as the code does that it is named after, and claims
// what holds for all of them. libFuzzer calls it in the preset "fuzz", tests/fuzz/replay.cpp in all others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace plyfs::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

// In every build, with a word for whoever sees it fail.
inline void claim(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

}  // namespace plyfs::fuzz

// A number with its bits so mixed that numbers in a row, or such as differ in a bit, lead to ones that have nothing to
// do with each other. Not for secrets.
#pragma once

#include <cstdint>

namespace plyfs {

// Odd, and far from any pattern: for what is counted or put together before it is mixed.
inline constexpr std::uint64_t kMixStep = 0x9e3779b97f4a7c15U;

// The finalizer of splitmix64.
constexpr std::uint64_t mix_bits(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

}  // namespace plyfs

// System calls that are younger than the C library's headers may be; the same numbers on every architecture
// that took the common table (all but alpha).
#pragma once

namespace plyfs::sys {

constexpr long kFchmodat2 = 452;   // Linux 6.6
constexpr long kSetxattrat = 463;  // Linux 6.13, with the next three
constexpr long kGetxattrat = 464;
constexpr long kListxattrat = 465;
constexpr long kRemovexattrat = 466;

}  // namespace plyfs::sys

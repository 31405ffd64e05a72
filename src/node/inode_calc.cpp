#include "node/inode_calc.h"

#include <algorithm>

namespace plyfs {
namespace {

// FNV-1a, and its bits mixed once more: names that differ in their last letter differ in all bits.
std::uint64_t hash_of(std::string_view bytes, std::uint64_t seed = 0xcbf29ce484222325ULL) {
    std::uint64_t hash = seed;
    for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    hash = (hash ^ (hash >> 32)) * 0xd6e8feb86659fd93ULL;
    return hash ^ (hash >> 32);
}

bool is_short(config::InodeCalc calc) {
    using config::InodeCalc;
    return calc == InodeCalc::path_hash32 || calc == InodeCalc::devino_hash32 || calc == InodeCalc::hybrid_hash32;
}

}  // namespace

bool inode_is_of_path(config::InodeCalc calc, bool directory) {
    using config::InodeCalc;
    const bool hybrid = calc == InodeCalc::hybrid_hash || calc == InodeCalc::hybrid_hash32;
    return calc == InodeCalc::path_hash || calc == InodeCalc::path_hash32 || (hybrid && directory);
}

std::uint64_t calculate_inode(config::InodeCalc calc, bool directory, std::string_view path, std::string_view branch,
                              std::uint64_t inode) {
    if (calc == config::InodeCalc::passthrough) return inode;
    std::uint64_t number;
    if (inode_is_of_path(calc, directory)) {
        number = hash_of(path);
    } else {
        char bytes[sizeof inode];
        for (std::size_t i = 0; i < sizeof inode; ++i) bytes[i] = static_cast<char>(inode >> (8 * i));
        number = hash_of({bytes, sizeof bytes}, hash_of(branch));
    }
    if (is_short(calc)) number = (number >> 32) ^ (number & 0xffffffff);
    return std::max<std::uint64_t>(number, 1);
}

}  // namespace plyfs

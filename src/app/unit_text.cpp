#include "app/unit_text.h"

#include <fmt/format.h>

#include <algorithm>

namespace plyfs::app {
namespace {

bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':' || c == '_' ||
           c == '.';
}

}  // namespace

std::string mount_unit(std::string_view path) {
    std::string name;
    for (std::size_t i = 0; i < path.size();) {
        const std::size_t end = std::min(path.find('/', i), path.size());
        if (end > i && !name.empty()) name += '-';
        for (const char c : path.substr(i, end - i)) {
            // A dot in front would hide the file.
            if (is_plain(c) && (c != '.' || !name.empty())) {
                name += c;
            } else {
                name += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
            }
        }
        i = end + 1;
    }
    return (name.empty() ? "-" : name) + ".mount";
}

bool fits_unit_name(std::string_view name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return is_plain(c) || c == '-'; });
}

std::string unit_word(std::string_view path) {
    std::string word = "\"";
    for (const char c : path) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return {};
        if (c == '"' || c == '\\') word += '\\';
        if (c == '%') word += '%';
        word += c;
    }
    return word + '"';
}

}  // namespace plyfs::app

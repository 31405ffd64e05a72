#include "ctl/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/log.h"
#include "base/utf8.h"
#include "ctl/failure.h"

namespace plyfs::ctl {
namespace {

// In columns of a terminal, as far as one character takes one.
std::size_t width_of(const std::string& text) {
    std::size_t width = 0;
    for (std::size_t i = 0; i < text.size(); ++width) {
        i += std::max<std::size_t>(utf8_length(std::string_view(text).substr(i)), 1);
    }
    return width;
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
    constexpr std::string_view kUnits = "BKMGTPE";
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1023.5 && unit + 1 < kUnits.size()) {
        value /= 1024;
        ++unit;
    }
    if (unit == 0) return std::to_string(bytes) + "B";
    return fmt::format("{:.{}f}{}", value, value < 9.95 ? 1 : 0, kUnits[unit]);
}

std::string duration_text(std::uint64_t nanoseconds) {
    const auto value = static_cast<double>(nanoseconds);
    if (value < 999.5e3) return fmt::format("{:.{}f}us", value / 1e3, value < 9950 ? 1 : 0);
    if (value < 999.5e6) return fmt::format("{:.{}f}ms", value / 1e6, value < 9.95e6 ? 1 : 0);
    return fmt::format("{:.1f}s", value / 1e9);
}

std::string shown(const std::string& text) {
    return log::in_one_line(text);
}

std::string shown(const Json& text) {
    return shown(text.text());
}

std::string table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& heading : headings) widths.push_back(heading.size() - (heading.starts_with('>') ? 1 : 0));
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
    }
    std::string out;
    const auto write = [&](const std::vector<std::string>& row) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            const bool number = headings[i].starts_with('>');
            const std::string gap(widths[i] - std::min(widths[i], width_of(row[i])), ' ');
            line += (i ? "  " : "") + (number ? gap + row[i] : row[i] + gap);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    };
    std::vector<std::string> first;
    for (const auto& heading : headings) first.push_back(heading.substr(heading.starts_with('>') ? 1 : 0));
    write(first);
    for (const auto& row : rows) write(row);
    return out;
}

void print(const std::string& text) {
    const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
    if (!written) throw Failure("the answer can not be written: " + log::errno_text(errno));
}

void print_line(const Json& json) {
    print(json.write() + "\n");
}

}  // namespace plyfs::ctl

// Texts for people: numbers in few characters, columns, and names that can not play tricks on a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace plyfs::ctl {

std::string size_text(std::uint64_t bytes);            // "4.0K", "17G"
std::string duration_text(std::uint64_t nanoseconds);  // "850us", "1.2s"
std::string shown(const std::string& text);            // in one line
std::string shown(const Json& text);

// Columns as wide as their widest cell, the last as it is; numbers say so by a leading '>' in the heading.
std::string table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows);

void print(const std::string& text);
void print_line(const Json& json);

}  // namespace plyfs::ctl

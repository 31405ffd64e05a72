// What somebody may have meant who mistyped a word.
#pragma once

#include <string>
#include <string_view>

namespace plyfs::config {

// Typing errors between two words: letters left out, put in, exchanged with the next or mistaken.
std::size_t edit_distance(std::string_view a, std::string_view b);
// More than these, and every word would be near every other.
std::size_t most_errors(std::string_view word);

// The one of "a|b|c" with the fewest errors between; empty if none is near.
std::string_view nearest_word(std::string_view words, std::string_view written);

}  // namespace plyfs::config

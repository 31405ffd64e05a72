// What somebody may have meant who mistyped a word.
#pragma once

#include <string>
#include <string_view>

namespace plyfs::config {

// Among words shown to it the one with the fewest typing errors (letters left out, put in, exchanged with the next or
// mistaken) between it and what was written; the first of several.
class NearestWord {
  public:
    explicit NearestWord(std::string_view written);
    // shown: how it is written to people, where that is not how it is compared.
    void consider(std::string_view word, std::string_view shown);
    void consider(std::string_view word) { consider(word, word); }
    // Empty if none is near: with more errors every word would be near every other.
    const std::string& best() const { return best_; }

  private:
    std::string written_;
    std::size_t errors_;  // of what is best until now, or one more than may be
    std::string best_;
};

// The one of "a|b|c" with the fewest errors between; empty if none is near.
std::string nearest_word(std::string_view words, std::string_view written);

}  // namespace plyfs::config

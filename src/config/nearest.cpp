#include "config/nearest.h"

#include <algorithm>
#include <vector>

namespace plyfs::config {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
    for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t swap = a[i - 1] == b[j - 1] ? 0 : 1;
            d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + swap});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
            }
        }
    }
    return d[a.size()][b.size()];
}

}  // namespace

NearestWord::NearestWord(std::string_view written)
    : written_(written), errors_(1 + std::max<std::size_t>(1, (written.size() + 1) / 3)) {}

void NearestWord::consider(std::string_view word, std::string_view shown) {
    // There are as many errors as one word is longer than the other, at least: whoever writes pages into an option
    // shall not wait for all of them to be compared.
    const std::size_t shorter = std::min(word.size(), written_.size());
    const std::size_t longer = std::max(word.size(), written_.size());
    if (longer - shorter >= errors_) return;
    const std::size_t errors = edit_distance(word, written_);
    if (errors >= errors_ || errors >= written_.size()) return;
    errors_ = errors;
    best_ = shown;
}

std::string nearest_word(std::string_view words, std::string_view written) {
    NearestWord nearest(written);
    for (std::size_t i = 0; i <= words.size();) {
        const std::size_t end = std::min(words.find('|', i), words.size());
        nearest.consider(words.substr(i, end - i));
        i = end + 1;
    }
    return nearest.best();
}

}  // namespace plyfs::config

#include "config/nearest.h"

#include <algorithm>
#include <vector>

namespace plyfs::config {

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

std::size_t most_errors(std::string_view word) {
    return std::max<std::size_t>(1, (word.size() + 1) / 3);
}

std::string_view nearest_word(std::string_view words, std::string_view written) {
    std::string_view best;
    std::size_t best_distance = most_errors(written) + 1;
    for (std::size_t i = 0; i <= words.size();) {
        const std::size_t end = std::min(words.find('|', i), words.size());
        const std::string_view word = words.substr(i, end - i);
        const std::size_t distance = edit_distance(word, written);
        if (distance < best_distance && distance < written.size()) {
            best_distance = distance;
            best = word;
        }
        i = end + 1;
    }
    return best;
}

}  // namespace plyfs::config

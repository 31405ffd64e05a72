// The option table: the rows of all topics, in the order in which --help shows them.
#include <vector>

#include "config/option_rows.h"

namespace plyfs::config {

void no_effect(Draft& draft, std::string_view what, std::string_view why) {
    draft.notices.push_back("option " + std::string(what) + " has no effect: " + std::string(why));
}

std::span<const Option> option_table() {
    static const std::vector<Option> table = [] {
        std::vector<Option> rows;
        for (const auto& some : {pool_rows(), file_rows(), layer_rows(), mount_rows()}) {
            rows.insert(rows.end(), some.begin(), some.end());
        }
        return rows;
    }();
    return table;
}

}  // namespace plyfs::config

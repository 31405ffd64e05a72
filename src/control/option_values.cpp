#include "control/option_values.h"

#include <algorithm>

#include "config/options.h"
#include "control/value_rows.h"

namespace plyfs::control {
namespace {

std::vector<ValueRow> sorted_rows() {
    std::vector<ValueRow> all;
    for (const auto rows : {pool_values(), layer_values(), mount_values()})
        all.insert(all.end(), rows.begin(), rows.end());
    std::sort(all.begin(), all.end(), [](const ValueRow& a, const ValueRow& b) { return a.name < b.name; });
    return all;
}

const std::vector<ValueRow>& rows() {
    static const std::vector<ValueRow> all = sorted_rows();
    return all;
}

const ValueRow* find_row(std::string_view name) {
    const auto fold = [](char c) { return c == '_' ? '-' : c; };
    const auto found = std::find_if(rows().begin(), rows().end(), [&](const ValueRow& row) {
        return std::equal(row.name.begin(), row.name.end(), name.begin(), name.end(),
                          [&](char a, char b) { return fold(a) == fold(b); });
    });
    return found == rows().end() ? nullptr : &*found;
}

}  // namespace

std::optional<std::string> option_value(const config::Config& config, std::string_view name) {
    if (const ValueRow* row = find_row(name)) return row->value(config);
    const auto match = config::find_option(name);
    if (!match || match->negative) return std::nullopt;
    if (const ValueRow* row = find_row(match->option->name)) return row->value(config);
    for (std::string_view rest = match->option->aliases; !rest.empty();) {
        const auto end = std::min(rest.find(' '), rest.size());
        if (const ValueRow* row = find_row(rest.substr(0, end))) return row->value(config);
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return std::nullopt;
}

std::vector<std::string_view> told_options() {
    std::vector<std::string_view> names;
    for (const ValueRow& row : rows()) names.push_back(row.name);
    return names;
}

}  // namespace plyfs::control

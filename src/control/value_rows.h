// Inside of option_values: the options whose values are told, and how each is read from a Config.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "config/config.h"

namespace plyfs::control {

struct ValueRow {
    std::string_view name;  // any of the option's, or a fact about the mount
    std::string (*value)(const config::Config&);
};

std::span<const ValueRow> pool_values();
std::span<const ValueRow> layer_values();
std::span<const ValueRow> mount_values();  // of both

// Values as the options take them.
std::string value_of_flag(bool on);
std::string value_of_seconds(double seconds);
// The n-th of the words that the option takes.
std::string value_of_word(std::string_view option, int place);

}  // namespace plyfs::control

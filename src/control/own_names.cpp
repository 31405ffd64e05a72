#include "control/own_names.h"

#include "overlay/own_names.h"

namespace plyfs::control {

bool is_own_name(std::string_view name) {
    return OwnNames{.work = true, .control = true}.has(name);
}

}  // namespace plyfs::control

// insist: what fails, for want of memory perhaps, is tried once more. For what is left to find out once a change is
// made (whoever is told that it failed would be told wrong, and would find it done when he tries again), and for looks
// whose failure has consequences.
#pragma once

#include <utility>

namespace plyfs {

template <typename Find>
auto insist(Find find) {
    auto found = find();
    return found ? std::move(found) : find();
}

}  // namespace plyfs

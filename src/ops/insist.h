// What is left to find out once a change is made, so that it can be told. Whoever is told that it failed would be told
// wrong, and would find it done when he tries again: so what fails here, for want of memory perhaps, is tried once
// more.
#pragma once

#include <utility>

namespace plyfs::ops {

template <typename Find>
auto insist(Find find) {
    auto found = find();
    return found ? std::move(found) : find();
}

}  // namespace plyfs::ops

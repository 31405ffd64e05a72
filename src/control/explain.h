// ops/explain for the control socket.
#pragma once

#include "base/json.h"

namespace plyfs::control {

struct Call;

Json run_explain(const Call& call);

}  // namespace plyfs::control

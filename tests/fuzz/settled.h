// What holds of every configuration, whatever was written.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "config/draft.h"
#include "config/error.h"
#include "target.h"

namespace plyfs::fuzz {

inline void claim_messages(const std::vector<std::string>& messages) {
    for (const std::string& message : messages) claim(!message.empty(), "a message says something");
}

// A fault is told, and what is settled without one is whole.
inline void claim_settled(config::Draft& draft) {
    claim_messages(draft.notices);
    const bool faulty = !draft.errors.empty();
    try {
        const config::Config config = config::settle(draft, true);
        claim(!faulty, "no configuration comes of faults");
        claim(!config.branches.empty(), "there is a branch");
        for (const config::BranchSpec& branch : config.branches)
            claim(branch.path.starts_with('/'), "a branch's path is absolute");
    } catch (const config::Error& error) {
        claim(!error.messages().empty(), "a refusal says why");
        claim_messages(error.messages());
    }
}

}  // namespace plyfs::fuzz

// Amendments: what has changed of a mount since it was made, for the daemons that take it over (app/supervise): each
// begins with the configuration of the first one. Kept as text, one JSON object.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.h"

namespace plyfs::control {

// What the configuration says when it is read again, complete but for what is known of the mount alone; or every fault.
struct ReadAgain {
    std::optional<config::Config> config;
    std::vector<std::string> faults;
};

struct Amendments {
    std::string mountpoint;  // without links, as it was before it was mounted on; empty: not known
    bool read_only = false;  // no branch could be written to
    std::optional<std::vector<config::BranchSpec>> branches;   // in place of those it was mounted with
    bool reloaded = false;                                     // its configuration was read again
    std::vector<std::pair<std::string, std::string>> options;  // set since, each as it was written last

    void set_option(std::string_view name, std::string_view value);
    std::string write() const;
};
// None where the text is empty.
Amendments read_amendments(std::string_view text);

// The configuration of the first daemon becomes that of the next one. Says in the log what can not be had again.
void amend(config::Config& config, const Amendments& amendments, const std::function<ReadAgain()>& read_config);

// Who is to serve after this daemon, and with what.
struct Succession {
    Amendments amendments;
    std::vector<std::string> leaving;  // paths of the branches that are none any more
    std::vector<std::string> sealed;   // of those that are read-only from then on
    bool upgrade = false;              // by the program as it is installed by now
    bool force = false;                // although open files may be lost by it
};

}  // namespace plyfs::control

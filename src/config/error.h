// Error: everything that is wrong with a command line, a file or what they name, as one-line messages that
// each say what, where and how to mend it. Thrown only before the mount, caught in main.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

namespace plyfs::config {

// As mount(8) defines them, so that fstab and systemd can tell the cases apart.
enum class ExitCode { usage = 1, system = 2, mount = 32 };

class Error : public std::exception {
  public:
    Error(ExitCode code, std::vector<std::string> messages) : code_(code), messages_(std::move(messages)) {
        for (const std::string& m : messages_) joined_ += (joined_.empty() ? "" : "\n") + m;
    }
    const char* what() const noexcept override { return joined_.c_str(); }
    ExitCode exit_code() const { return code_; }
    const std::vector<std::string>& messages() const { return messages_; }

  private:
    ExitCode code_;
    std::vector<std::string> messages_;
    std::string joined_;
};

// One value that does not fit its option; whoever knows where it was written puts that in front.
class BadValue : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

}  // namespace plyfs::config

// What ends plyctl: one line that says what, where and how to mend it, and the exit code.
#pragma once

#include <stdexcept>
#include <string>

namespace plyfs::ctl {

enum class ExitCode { done = 0, failure = 1, usage = 2 };

class Failure : public std::runtime_error {
  public:
    explicit Failure(const std::string& line, ExitCode code = ExitCode::failure)
        : std::runtime_error(line), code_(code) {}
    ExitCode code() const { return code_; }

  private:
    ExitCode code_;
};

// A mount's answer to what it was asked.
class Refused : public Failure {
  public:
    using Failure::Failure;
};

// It may do it in a moment.
class Busy : public Refused {
  public:
    using Refused::Refused;
};

// A mount ended the connection instead of an answer.
class Ended : public Failure {
  public:
    using Failure::Failure;
};

}  // namespace plyfs::ctl

// Makes calls of operations fail, one at a time, and says what was wrong about what came of it.
#pragma once

#include <cerrno>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "fault/ground.h"
#include "fault/operations.h"
#include "support/gate.h"

namespace plyfs::test {

inline constexpr int kErrors[] = {EIO, ENOSPC, ENOMEM, EDQUOT, EMFILE, ESTALE};
inline constexpr int kErrorCount = static_cast<int>(std::size(kErrors));

class Faults {
  public:
    // How many calls of each operation (only: of one), chosen at random; 0: all. Each fails with one of kErrors, in
    // turn; shift says with which of them it begins.
    Faults(Kind kind, std::string options, int calls, int shift, const char* only = nullptr);
    // Ends with an assertion that there is no problem.
    void run();

  private:
    // What a tree looks like on which the operation was not done, and on which it was; later: in another mount.
    struct Views {
        TreeDigest before, after, before_later, after_later;
        int calls = 0;
        int result = 0;  // without a fault
    };
    // Each has a tree of its own.
    struct Try {
        const Operation* operation = nullptr;
        std::string tree;
        int call = 0, error = 0;
        bool made = false, done = false;
        bool unclear = false;  // a problem was told; it need not be told again
    };

    void learn();
    void plan();
    void arm(int call, int error);
    void make(Try& one);
    std::string judge(Try& one, int result, const Gate::Seen& seen);
    std::string do_again(Try& one);
    std::string find_leaks(const std::string& call);
    void check_directories();
    void look_later();
    void add_problem(const Try& one, const std::string& call, const std::string& problem);

    Gate gate_;
    Ground ground_;
    const std::string options_;
    const int calls_, shift_;
    std::vector<const Operation*> operations_;
    std::map<const Operation*, Views> views_;
    std::vector<Try> tries_;
    std::set<const Operation*> ended_;  // it has no further calls
    std::vector<std::string> problems_;
    std::size_t files_ = 0, leftovers_ = 0;  // descriptors of files, staged objects; of those that are there anyway
    int failed_calls_ = 0;
};

}  // namespace plyfs::test

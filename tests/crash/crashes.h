// Ends the daemon, or cuts the power, at a call of an operation, and looks what the next mount makes of it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "fault/ground.h"
#include "fault/operations.h"
#include "support/gate.h"

namespace plyfs::test {

enum class End { kill, power_cut };

class Crashes {
  public:
    // How many of them, chosen by chance; 0: all.
    struct Sample {
        int operations = 0;
        int calls = 0;  // of each operation
    };
    Crashes(Kind kind, std::string options, End end, Sample sample);
    // Ends with an assertion that there is no problem.
    void run();

  private:
    struct Views {
        TreeDigest before, after;  // as another mount shows it
        int calls = 0;
    };

    void learn();
    void make_trees();
    void kill_at(const Operation& operation, const std::string& tree, int call);
    void cut_at(const Operation& operation, const std::string& tree, int call);
    void judge(const Ground& ground, const Operation& operation, const std::string& tree, int call, bool must_be_done);
    std::function<void()> armed(int call, Gate::Act act);

    struct Point {
        const Operation* operation;
        std::string tree;
        int call;
    };

    Gate gate_;
    Ground ground_;
    const std::string options_;
    const End end_;
    const Sample sample_;
    std::vector<const Operation*> operations_;
    std::map<const Operation*, Views> views_;
    std::vector<Point> points_;
    std::set<std::string> replaced_;  // leftovers that are none
    std::vector<std::string> problems_;
    int ends_ = 0, done_ = 0;
};

}  // namespace plyfs::test

#include "branch/absent.h"

#include <algorithm>
#include <memory>
#include <system_error>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"
#include "sys/stat.h"

namespace plyfs {
namespace {

using Clock = std::chrono::steady_clock;

// Outlives who asks, as the threads do.
struct Answers {
    Mutex mutex;
    CondVar came;
    std::vector<bool> has GUARDED_BY(mutex);
    std::vector<std::string> gone GUARDED_BY(mutex);  // why; empty: it is there
};

std::string why_gone(const config::BranchSpec& branch, const Result<sys::Stat>& found) {
    if (found) return branch.mount_root && !sys::is_mount_root(*found) ? "its file system is not mounted" : "";
    return found.error().is_own_lack() ? "" : log::errno_text(found.error().value());
}

void ask(const std::shared_ptr<Answers>& answers, std::size_t which, const config::BranchSpec& branch) {
    const auto wait_for_it = [answers, which, branch] {
        const auto st = sys::stat_path(branch.path.c_str());
        MutexLock lock(answers->mutex);
        answers->has[which] = true;
        answers->gone[which] = why_gone(branch, st);
        answers->came.notify_all();
    };
    try {
        std::thread(wait_for_it).detach();
    } catch (const std::system_error&) {  // whoever opens it will wait
        MutexLock lock(answers->mutex);
        answers->has[which] = true;
    }
}

}  // namespace

void pass_over_absent(config::Config& config, std::chrono::milliseconds most, Absence which) {
    const auto answers = std::make_shared<Answers>();
    {
        MutexLock lock(answers->mutex);
        for (const auto& branch : config.branches) answers->has.push_back(branch.missing);
        answers->gone.resize(config.branches.size());
    }
    for (std::size_t i = 0; i < config.branches.size(); ++i) {
        if (!config.branches[i].missing) ask(answers, i, config.branches[i]);
    }
    const auto latest = Clock::now() + most;
    MutexLock lock(answers->mutex);
    const auto all_have = [&]() NO_THREAD_SAFETY_ANALYSIS {
        return std::find(answers->has.begin(), answers->has.end(), false) == answers->has.end();
    };
    while (!all_have() && Clock::now() < latest) answers->came.wait_for(answers->mutex, latest - Clock::now());
    for (std::size_t i = 0; i < config.branches.size(); ++i) {
        const std::string why = answers->has[i] ? answers->gone[i] : "it does not answer";
        if (why.empty() || (answers->has[i] && which == Absence::silent)) continue;
        config.branches[i].missing = true;
        log::warn("branch {}: {}; taken over without it, it is taken in when it comes", config.branches[i].path, why);
    }
}

std::optional<std::string> find_absent_layer(const config::Config& config) {
    for (const auto& branch : config.branches) {
        if (!branch.mount_root) continue;
        const std::string why = why_gone(branch, sys::stat_path(branch.path.c_str()));
        if (!why.empty()) return "layer " + branch.path + ": " + why;
    }
    return std::nullopt;
}

}  // namespace plyfs

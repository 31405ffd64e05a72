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
    std::vector<Errno> gone GUARDED_BY(mutex);  // why; 0: it is there
};

void ask(const std::shared_ptr<Answers>& answers, std::size_t which, const std::string& path) {
    const auto wait_for_it = [answers, which, path] {
        const auto st = sys::stat_path(path.c_str());
        MutexLock lock(answers->mutex);
        answers->has[which] = true;
        if (!st && !st.error().is_own_lack()) answers->gone[which] = st.error();
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

void pass_over_absent(config::Config& config, std::chrono::milliseconds most) {
    const auto answers = std::make_shared<Answers>();
    {
        MutexLock lock(answers->mutex);
        for (const auto& branch : config.branches) answers->has.push_back(branch.missing);
        answers->gone.resize(config.branches.size(), Errno(0));
    }
    for (std::size_t i = 0; i < config.branches.size(); ++i) {
        if (!config.branches[i].missing) ask(answers, i, config.branches[i].path);
    }
    const auto latest = Clock::now() + most;
    MutexLock lock(answers->mutex);
    const auto all_have = [&]() NO_THREAD_SAFETY_ANALYSIS {
        return std::find(answers->has.begin(), answers->has.end(), false) == answers->has.end();
    };
    while (!all_have() && Clock::now() < latest) answers->came.wait_for(answers->mutex, latest - Clock::now());
    for (std::size_t i = 0; i < config.branches.size(); ++i) {
        const int why = answers->gone[i].value();
        if (answers->has[i] && why == 0) continue;
        config.branches[i].missing = true;
        log::warn("branch {}: {}; taken over without it, it is taken in when it comes", config.branches[i].path,
                  why == 0 ? std::string("it does not answer") : log::errno_text(why));
    }
}

}  // namespace plyfs

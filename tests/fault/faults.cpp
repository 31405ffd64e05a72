#include "fault/faults.h"

#include <sys/stat.h>

#include <filesystem>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"

namespace plyfs::test {
namespace {

// With a fault there may be more calls than without: it goes another way.
constexpr int kMoreCalls = 12;
constexpr std::size_t kMostTold = 40;
// Directories that are held beside those that are known by node: roots, work directories and the like.
constexpr std::size_t kOtherDirectories = 24;

struct Descriptors {
    std::size_t files = 0, directories = 0;
};

Descriptors descriptors_of(pid_t pid) {
    Descriptors count;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
        struct stat st;
        if (::stat(entry.path().c_str(), &st) == 0) ++(S_ISDIR(st.st_mode) ? count.directories : count.files);
    }
    return count;
}

// Where what was staged is taken away: should one of these fail, it stays until the next mount.
bool may_leave_something(const std::string& call) {
    return call == "unlinkat" || call == "openat" || call == "getdents64" || call == "statx";
}

std::string tree_name(const char* what, std::size_t number) {
    return what + std::to_string(number);
}

}  // namespace

Faults::Faults(Kind kind, std::string options, int calls, int shift, const char* only)
    : ground_(kind),
      options_(std::move(options)),
      calls_(calls),
      shift_(shift),
      operations_(operations_of(kind, only)) {}

void Faults::run() {
    learn();
    plan();
    ground_.note_read_only();
    ground_.mount(options_);
    files_ = descriptors_of(ground_.mounted().pid()).files;
    for (Try& one : tries_) make(one);
    check_directories();
    ground_.unmount();
    look_later();
    CHECK(ground_.read_only_changes() == "");
    MESSAGE(failed_calls_ << " calls failed");
    std::string text;
    for (std::size_t i = 0; i < std::min(problems_.size(), kMostTold); ++i) text += problems_[i] + "\n";
    INFO(problems_.size(), " problems\n", text);
    CHECK(problems_.empty());
}

// What each operation does without a fault.
void Faults::learn() {
    for (std::size_t i = 0; i < operations_.size(); ++i) {
        ground_.make_tree(tree_name("before", i));
        ground_.make_tree(tree_name("after", i));
    }
    ground_.mount(options_);
    for (std::size_t i = 0; i < operations_.size(); ++i) {
        const Operation& operation = *operations_[i];
        Views& views = views_[&operation];
        const std::string before = tree_name("before", i), after = tree_name("after", i);
        for (const std::string& tree : {before, after}) {
            if (operation.prepare) operation.prepare(ground_.at(tree));
        }
        views.before = ground_.look(before);
        if (!operation.reads) walk(ground_.at(after));
        views.result = operation.run(ground_.at(after), [&] { arm(0, 0); });
        views.calls = gate_.disarm().calls;
        INFO(std::string(operation.name), " without a fault: ", views.result);
        REQUIRE((views.result == 0 || views.result == EXDEV));
        views.after = ground_.look(after);
    }
    ground_.unmount();
    ground_.mount(options_);
    for (std::size_t i = 0; i < operations_.size(); ++i) {
        Views& views = views_[operations_[i]];
        views.before_later = ground_.look(tree_name("before", i));
        views.after_later = ground_.look(tree_name("after", i));
    }
    ground_.unmount();
}

void Faults::plan() {
    for (const Operation* operation : operations_) {
        for (int call : some_of(views_[operation].calls + (calls_ ? 0 : kMoreCalls), calls_)) {
            const int error = kErrors[(call + shift_) % kErrorCount];
            // What others removed on a branch of a pool is said so by servers: it is not there.
            if (error == ESTALE && ground_.kind() == Kind::pool) continue;
            tries_.push_back({operation, tree_name("try", tries_.size()), call, error});
            ground_.make_tree(tries_.back().tree);
        }
    }
}

void Faults::arm(int call, int error) {
    gate_.arm(ground_.mounted().pid(), call, call ? Gate::Act::fail : Gate::Act::count, error);
}

void Faults::make(Try& one) {
    const Operation& operation = *one.operation;
    if (ended_.contains(&operation)) return;
    INFO(std::string(operation.name), ", call ", one.call, ", ", errno_words(one.error));
    if (operation.prepare) operation.prepare(ground_.at(one.tree));
    if (!operation.reads) walk(ground_.at(one.tree));
    const int result = operation.run(ground_.at(one.tree), [&] { arm(one.call, one.error); });
    const Gate::Seen seen = gate_.disarm();
    one.made = true;
    if (seen.came) {
        ++failed_calls_;
    } else {
        ended_.insert(&operation);
    }
    std::string problem = judge(one, result, seen);
    problem += find_leaks(seen.name);
    if (problem.empty() && result != 0 && one.call % 2 == 0) problem = do_again(one);
    if (!problem.empty()) add_problem(one, seen.name, problem);
}

std::string Faults::judge(Try& one, int result, const Gate::Seen& seen) {
    const Views& views = views_[one.operation];
    std::string problem;
    one.done = result == 0;
    if (result == kWrong) problem = "what it gave was wrong; ";
    // Whose descriptors lack is not the caller.
    const int told = one.error == EMFILE ? ENFILE : one.error;
    const bool honest = result == views.result || result == told || (result == EXDEV && seen.came);
    if (!honest && result != kWrong) problem = "it said " + errno_words(result) + "; ";
    const auto view = ground_.look(one.tree);
    const auto& wanted = one.done ? views.after : views.before;
    const std::string difference = wanted.difference(view);
    if (difference.empty()) return problem;
    const char* how = one.done ? "it succeeded" : "it failed";
    const bool contrary = view == (one.done ? views.before : views.after);
    one.unclear = !contrary;
    if (contrary) one.done = !one.done;
    return problem + how + (contrary ? ", and the contrary is so; " : ", and left this:\n" + difference);
}

std::string Faults::do_again(Try& one) {
    const Views& views = views_[one.operation];
    const int result = one.operation->run(ground_.at(one.tree), [] {});
    one.done = result == 0;
    if (result != views.result) return "it could not be done afterwards: " + errno_words(result);
    const std::string difference = (one.done ? views.after : views.before).difference(ground_.look(one.tree));
    one.unclear = !difference.empty();
    return difference.empty() ? difference : "done again it left this:\n" + difference;
}

std::string Faults::find_leaks(const std::string& call) {
    std::string problem;
    const pid_t pid = ground_.mounted().pid();
    if (!eventually([&] { return descriptors_of(pid).files <= files_; }, 1000)) {
        problem = "it leaked a descriptor; ";
        files_ = descriptors_of(pid).files;
    }
    const auto left = ground_.leftovers();
    if (left.size() > leftovers_ && !may_leave_something(call)) problem += "it left " + left.back() + " unfinished; ";
    leftovers_ = left.size();
    return problem;
}

// And that no backing file stays registered.
void Faults::check_directories() {
    drop_caches();
    const Mount& mount = ground_.mounted();
    CHECK(mount.backings_settle());
    std::size_t held = 0, known = 0;
    const bool flat = eventually([&] {
        known = static_cast<std::size_t>(mount.stats()["descriptors"]);
        held = descriptors_of(mount.pid()).directories;
        return held <= known + kOtherDirectories;
    });
    INFO("descriptors of directories: ", held, ", known: ", known);
    CHECK(flat);
}

void Faults::look_later() {
    ground_.mount(options_);
    CHECK(ground_.leftovers() == std::vector<std::string>());
    for (Try& one : tries_) {
        if (!one.made || one.unclear) continue;
        const Views& views = views_[one.operation];
        const auto& wanted = one.done ? views.after_later : views.before_later;
        const std::string difference = wanted.difference(ground_.look(one.tree));
        if (!difference.empty()) add_problem(one, "?", "it is seen so by the next mount:\n" + difference);
        if (!difference.empty() || one.done) continue;
        if (one.operation->name == std::string("fsync")) continue;
        const int result = one.operation->run(ground_.at(one.tree), [] {});
        if (result != views.result) {
            add_problem(one, "?", "the next mount can not do it: " + errno_words(result));
        }
    }
    ground_.unmount();
}

void Faults::add_problem(const Try& one, const std::string& call, const std::string& problem) {
    problems_.push_back(std::string(one.operation->name) + ", call " + std::to_string(one.call) + " of " +
                        std::to_string(views_[one.operation].calls) + " (" + call + ": " + errno_words(one.error) +
                        "): " + problem);
}

}  // namespace plyfs::test

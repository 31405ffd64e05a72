#include "crash/crashes.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/defer.h"
#include "support/check.h"
#include "support/files.h"

namespace plyfs::test {
namespace {

constexpr std::size_t kMostTold = 40;
constexpr int kCloseTime = 20;  // milliseconds

std::string tree_name(const char* what, std::size_t number) {
    return what + std::to_string(number);
}

}  // namespace

Crashes::Crashes(Kind kind, std::string options, End end, Sample sample)
    : ground_(kind), options_(std::move(options)), end_(end), sample_(sample) {
    auto all = operations_of(kind);
    // Those change nothing.
    std::erase_if(all, [](const Operation* operation) { return operation->reads; });
    for (int number : some_of(static_cast<int>(all.size()), sample_.operations)) {
        operations_.push_back(all[static_cast<std::size_t>(number - 1)]);
    }
}

void Crashes::run() {
    learn();
    make_trees();
    ground_.note_read_only();
    for (const Point& point : points_) {
        ground_.mount(options_);
        if (point.operation->prepare) point.operation->prepare(ground_.at(point.tree));
        end_ == End::kill ? kill_at(*point.operation, point.tree, point.call)
                          : cut_at(*point.operation, point.tree, point.call);
    }
    CHECK(ground_.read_only_changes() == "");
    MESSAGE(ends_ << std::string(end_ == End::kill ? " kills, " : " power cuts, ") << done_
                  << " with the operation done");
    std::string text;
    for (std::size_t i = 0; i < std::min(problems_.size(), kMostTold); ++i) text += problems_[i] + "\n";
    INFO(problems_.size(), " problems\n", text);
    CHECK(problems_.empty());
}

std::function<void()> Crashes::armed(int call, Gate::Act act) {
    return [=, this] { gate_.arm(ground_.mounted().pid(), call, act); };
}

void Crashes::learn() {
    for (std::size_t i = 0; i < operations_.size(); ++i) {
        ground_.make_tree(tree_name("before", i));
        ground_.make_tree(tree_name("after", i));
    }
    ground_.mount(options_);
    for (std::size_t i = 0; i < operations_.size(); ++i) {
        const Operation& operation = *operations_[i];
        const std::string before = tree_name("before", i), after = tree_name("after", i);
        for (const std::string& tree : {before, after}) {
            if (operation.prepare) operation.prepare(ground_.at(tree));
        }
        walk(ground_.at(after));
        const int result = operation.run(ground_.at(after), armed(0, Gate::Act::count));
        views_[&operation].calls = gate_.disarm().calls;
        INFO(std::string(operation.name), ": ", result);
        REQUIRE((result == 0 || result == EXDEV));
    }
    ground_.unmount();
    ground_.mount(options_);
    for (std::size_t i = 0; i < operations_.size(); ++i) {
        Views& views = views_[operations_[i]];
        views.before = ground_.look(tree_name("before", i));
        views.after = ground_.look(tree_name("after", i));
    }
    ground_.unmount();
}

void Crashes::make_trees() {
    for (const Operation* operation : operations_) {
        for (int call : some_of(views_[operation].calls, sample_.calls)) {
            points_.push_back({operation, tree_name("try", points_.size()), call});
            ground_.make_tree(points_.back().tree);
        }
    }
}

void Crashes::judge(const Ground& ground, const Operation& operation, const std::string& tree, int call,
                    bool must_be_done) {
    ++ends_;
    const Views& views = views_[&operation];
    std::string problem;
    const auto view = ground.look(tree);
    if (view == views.after) ++done_;
    if (must_be_done && view != views.after) {
        problem = "it was done, but:\n" + views.after.difference(view);
    } else if (ground.kind() == Kind::layers && view != views.before && view != views.after) {
        problem = "other than before:\n" + views.before.difference(view) + "other than after:\n" +
                  views.after.difference(view);
    } else {
        problem = view.strays_from(views.before, views.after);
    }
    auto left = ground.leftovers();
    // A file that is about to replace one on another branch has both names, until that one is gone.
    const std::string_view name = operation.name;
    if (name == "rename from elsewhere") replaced_.insert("two of /" + tree + "/d/f");
    if (name == "rename over one elsewhere") replaced_.insert("two of /" + tree + "/o");
    std::erase_if(left, [&](const std::string& one) { return replaced_.contains(one); });
    if (!left.empty()) problem += "left over: " + left.front();
    if (problem.empty()) return;
    problems_.push_back(std::string(operation.name) + ", call " + std::to_string(call) + " of " +
                        std::to_string(views.calls) + ": " + problem);
}

void Crashes::kill_at(const Operation& operation, const std::string& tree, int call) {
    walk(ground_.at(tree));
    const int result = operation.run(ground_.at(tree), armed(call, Gate::Act::kill));
    const bool came = gate_.disarm().came;
    if (came) {
        ground_.clean_up_after_kill();
    } else {
        ground_.unmount();
    }
    ground_.mount(options_);
    judge(ground_, operation, tree, call, result == 0);
    ground_.unmount();
}

// The operation waits while the image is copied, then goes on where the power was not cut.
void Crashes::cut_at(const Operation& operation, const std::string& tree, int call) {
    ground_.settle();
    walk(ground_.at(tree));
    std::unique_ptr<Ground> later;
    std::atomic<bool> over = false;
    std::thread user([&] {
        operation.run(ground_.at(tree), armed(call, Gate::Act::hold));
        over = true;
    });
    {
        Defer join([&] {
            gate_.disarm();
            user.join();
        });
        const auto is_over = [&] { return over.load(); };
        const bool came = eventually([&] { return over || gate_.holds(); }) && gate_.holds();
        // What is done after the caller's close(2) finds bytes written that he has not waited for: some may be lost.
        if (came && !eventually(is_over, kCloseTime)) later = ground_.cut_power();
    }
    ground_.unmount();
    if (!later) return;
    later->mount(options_);
    judge(*later, operation, tree, call, false);
}

}  // namespace plyfs::test

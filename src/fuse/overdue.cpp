#include "fuse/overdue.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "node/blocked_signals.h"
#include "sys/waiting.h"

namespace plyfs::fuse {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Often while a branch is late.
constexpr auto kTick = 250ms;
constexpr auto kLongTick = 1000ms;
// So long the threads have to come back once the mount is gone.
constexpr auto kGrace = 2s;

}  // namespace

Overdue::Overdue(const BranchSet& set, double timeout) : set_(set), timeout_(timeout) {}

Overdue::~Overdue() {
    stop();
}

void Overdue::start(Chores chores) {
    chores_ = std::move(chores);
    const BlockedSignals blocked;
    thread_ = std::thread([this] { run(); });
}

void Overdue::stop() {
    {
        MutexLock lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

std::shared_ptr<Overdue::Seat> Overdue::seat_of_this_thread() {
    thread_local std::pair<Overdue*, std::shared_ptr<Seat>> mine;
    if (mine.first != this) {
        mine = {this, std::make_shared<Seat>(::gettid())};
        MutexLock lock(mutex_);
        std::erase_if(seats_, [](const auto& seat) { return seat.expired(); });
        seats_.push_back(mine.second);
    }
    return mine.second;
}

Overdue::Turn::Turn(Overdue& overdue, fuse_req_t request, Clock::time_point since)
    : seat_(overdue.seat_of_this_thread()), request_(request) {
    MutexLock lock(seat_->mutex);
    seat_->request = request;
    seat_->since = since;
}

bool Overdue::Turn::end() {
    if (std::exchange(ended_, true)) return ours_;
    MutexLock lock(seat_->mutex);
    ours_ = std::exchange(seat_->request, nullptr) == request_;
    return ours_;
}

std::function<bool()> Overdue::Turn::interrupted() const {
    return [seat = seat_, request = request_] {
        MutexLock lock(seat->mutex);
        if (seat->request != request) return true;
        seat->since = Clock::now();
        return fuse_req_interrupted(request) != 0;
    };
}

bool Overdue::rest() {
    MutexLock lock(mutex_);
    if (!stopping_) wake_.wait_for(mutex_, set_.any_is_late() ? kTick : kLongTick);
    return !stopping_;
}

void Overdue::run() {
    Clock::time_point gone_since = {};
    while (rest()) {
        chores_.relieve();
        if (timeout_.count() > 0 && set_.any_is_late()) answer_overdue();
        if (!chores_.mount_is_gone()) continue;
        if (gone_since == Clock::time_point()) gone_since = Clock::now();
        if (Clock::now() - gone_since >= kGrace && set_.any_is_late()) chores_.leave();
    }
}

void Overdue::answer_overdue() {
    std::vector<std::weak_ptr<Seat>> seats;
    {
        MutexLock lock(mutex_);
        seats = seats_;
    }
    int answered = 0;
    for (const auto& weak : seats) {
        const auto seat = weak.lock();
        if (!seat) continue;
        fuse_req_t request;
        {
            // The request can not end, nor another one begin, while it is looked where the thread is.
            MutexLock lock(seat->mutex);
            const bool over = seat->request && Clock::now() - seat->since >= timeout_;
            if (!over || !is_stuck(seat->thread)) continue;
            request = std::exchange(seat->request, nullptr);
        }
        fuse_reply_err(request, ETIMEDOUT);
        ++answered;
    }
    if (answered > 0) log::warn("{} requests that a branch had not answered in time failed (ETIMEDOUT)", answered);
}

bool Overdue::is_stuck(pid_t thread) const {
    const auto all = set_.all();
    if (std::none_of(all.begin(), all.end(), [](const auto& branch) { return branch->hangs(); })) return false;
    const auto waiting = sys::find_waiting(thread);
    // Where the kernel does not tell, the time has to do.
    if (!waiting || waiting->for_a_thread) return true;
    return std::any_of(waiting->mounts.begin(), waiting->mounts.end(), [&](std::uint64_t mount) {
        return std::any_of(all.begin(), all.end(),
                           [&](const auto& branch) { return branch->hangs() && branch->is_mount(mount); });
    });
}

}  // namespace plyfs::fuse

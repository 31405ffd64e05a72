#include "fuse/readers.h"

#include <signal.h>

#include <cerrno>
#include <thread>

namespace plyfs::fuse {
namespace {

using namespace std::chrono_literals;

constexpr auto kPause = 1ms;

// Of which nothing but a read that ends is wanted; ignored by default, so it harms nobody who gets it by mistake.
constexpr int kSignal = SIGURG;

void let_signal_in() {
    struct sigaction nothing {};
    nothing.sa_handler = [](int) {};  // and not restarted
    ::sigaction(kSignal, &nothing, nullptr);
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, kSignal);
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace

thread_local Readers::Seat Readers::seat_;

Readers::Seat::~Seat() {
    if (!among) return;
    MutexLock lock(among->mutex);
    among->all.erase(this);
}

void Readers::take_seat() {
    let_signal_in();
    seat_.among = seats_;
    seat_.thread = ::pthread_self();
    MutexLock lock(seats_->mutex);
    seats_->all.insert(&seat_);
}

// Said before it is looked whether they are held: whoever holds them sees us, or we see that.
Readers::Reading::Reading(Readers& readers) {
    if (!seat_.among) readers.take_seat();
    seat_.reads.store(true);
    while (readers.held_.load()) {
        seat_.reads.store(false);
        readers.wait_until_let_go();
        seat_.reads.store(true);
    }
}

Readers::Reading::~Reading() {
    seat_.reads.store(false, std::memory_order_release);
}

void Readers::wait_until_let_go() {
    MutexLock lock(mutex_);
    while (held_.load()) let_go_.wait(mutex_);
}

// Whether nobody had to be called. Who has not begun to read when the signal comes is called again.
bool Readers::call_out() {
    bool out = true;
    MutexLock lock(seats_->mutex);
    for (const Seat* seat : seats_->all) {
        if (!seat->reads.load()) continue;
        out = false;
        ::pthread_kill(seat->thread, kSignal);
    }
    return out;
}

bool Readers::hold(std::chrono::milliseconds most) {
    const auto latest = std::chrono::steady_clock::now() + most;
    held_.store(true);
    while (!call_out()) {
        if (std::chrono::steady_clock::now() > latest) return false;
        std::this_thread::sleep_for(kPause);
    }
    return true;
}

void Readers::let_go() {
    MutexLock lock(mutex_);
    held_.store(false);
    let_go_.notify_all();
}

}  // namespace plyfs::fuse

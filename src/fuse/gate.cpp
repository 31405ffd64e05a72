#include "fuse/gate.h"

namespace plyfs::fuse {

thread_local Gate::Pass Gate::pass_;

Gate::Pass::~Pass() {
    if (inside) of->fetch_sub(1);
}

// Counted before the gate is looked at: whoever has closed it sees us, or we see it closed.
void Gate::enter() {
    inside_->fetch_add(1);
    while (closed_.load()) {
        inside_->fetch_sub(1);
        {
            MutexLock lock(mutex_);
            while (closed_.load()) opened_.wait(mutex_);
        }
        inside_->fetch_add(1);
    }
    if (pass_.of != inside_) pass_.of = inside_;
    pass_.inside = true;
}

void Gate::leave() {
    if (!pass_.inside) return;
    pass_.inside = false;
    inside_->fetch_sub(1);
}

void Gate::close() {
    closed_.store(true);
}

void Gate::open() {
    MutexLock lock(mutex_);
    closed_.store(false);
    opened_.notify_all();
}

}  // namespace plyfs::fuse

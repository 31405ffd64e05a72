// Defer: undo on the way out unless cancelled. The only cleanup idiom for things that are not descriptors or locks.
#pragma once

#include <utility>

namespace plyfs {

template <typename F>
class [[nodiscard]] Defer {
  public:
    explicit Defer(F f) : f_(std::move(f)) {}
    Defer(const Defer&) = delete;
    Defer& operator=(const Defer&) = delete;
    ~Defer() {
        if (armed_) f_();
    }
    void cancel() { armed_ = false; }

  private:
    F f_;
    bool armed_ = true;
};

}  // namespace plyfs

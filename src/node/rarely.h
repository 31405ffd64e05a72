// A part of an object of which there are many, that few of them have: allocated when something in it is first set to
// what it is not anyway. Who reads needs nothing of it.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace plyfs {

template <typename T>
class Rarely {
  public:
    explicit operator bool() const { return value_ != nullptr; }
    const T& operator*() const { return value_ ? *value_ : none(); }
    const T* operator->() const { return &**this; }
    T& make() {
        if (!value_) value_ = std::make_unique<T>();
        return *value_;
    }
    template <typename M>
    void set(M T::*member, std::type_identity_t<M> value) {
        if (!value_ && none().*member == value) return;
        make().*member = std::move(value);
    }

  private:
    static const T& none() {
        static const T all;
        return all;
    }
    std::unique_ptr<T> value_;
};

}  // namespace plyfs

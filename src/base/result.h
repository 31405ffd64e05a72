// Result<T>: a value or an Errno, with the member names of std::expected (which the compilers we support have only in
// C++23). Used everywhere below app/ and outside config/: "not found on this branch" is the commonest outcome there is,
// and an exception would cost microseconds for it.
#pragma once

#include <cerrno>
#include <optional>
#include <utility>
#include <variant>

namespace plyfs {

// A positive errno value. Never 0: success is the other alternative of Result.
class Errno {
  public:
    constexpr explicit Errno(int value) : value_(value) {}
    // The calling thread's errno; call directly after the system call that failed.
    static Errno last() { return Errno(errno); }
    constexpr int value() const { return value_; }
    friend constexpr bool operator==(Errno a, Errno b) { return a.value_ == b.value_; }
    friend constexpr bool operator==(Errno a, int b) { return a.value_ == b; }
    // What lacked was ours, memory or descriptors: it tells nothing of the file that was asked about.
    constexpr bool is_own_lack() const {
        return value_ == ENOMEM || value_ == EMFILE || value_ == ENFILE || value_ == EINTR || value_ == EAGAIN;
    }

  private:
    int value_;
};

template <typename T>
class [[nodiscard]] Result {
  public:
    using value_type = T;
    Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit, as std::expected
    Result(Errno e) : v_(std::in_place_index<1>, e) {}                 // NOLINT

    bool has_value() const { return v_.index() == 0; }
    explicit operator bool() const { return has_value(); }
    T& value() & { return *std::get_if<0>(&v_); }
    const T& value() const& { return *std::get_if<0>(&v_); }
    T&& value() && { return std::move(*std::get_if<0>(&v_)); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return std::get_if<0>(&v_); }
    const T* operator->() const { return std::get_if<0>(&v_); }
    Errno error() const {
        const Errno* e = std::get_if<1>(&v_);
        if (!e) __builtin_unreachable();  // asked of a value; tells g++'s -Wnull-dereference as well
        return *e;
    }
    bool failed_with(int e) const { return !has_value() && error() == e; }

  private:
    std::variant<T, Errno> v_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    using value_type = void;
    Result() = default;
    Result(Errno e) : e_(e) {}  // NOLINT
    bool has_value() const { return !e_; }
    explicit operator bool() const { return has_value(); }
    Errno error() const { return *e_; }
    bool failed_with(int e) const { return e_ && *e_ == e; }

  private:
    std::optional<Errno> e_;
};

using Status = Result<void>;

namespace detail {
template <typename T>
T take_value(Result<T>&& r) {
    return std::move(r).value();
}
inline void take_value(Status&&) {}
}  // namespace detail

}  // namespace plyfs

// TRY(expr): the value of a Result, or return its error from the enclosing function. A statement expression, because
// the value is wanted in the middle of an expression; g++ and clang++ both have it.
#define TRY(...) PLYFS_TRY_NAMED(PLYFS_TRY_JOIN(try_result_, __COUNTER__), __VA_ARGS__)
#define PLYFS_TRY_JOIN(a, b) PLYFS_TRY_JOIN2(a, b)
#define PLYFS_TRY_JOIN2(a, b) a##b
// A name of its own each time, because TRYs nest.
#define PLYFS_TRY_NAMED(result, ...) PLYFS_TRY_BODY(result, __VA_ARGS__)
#define PLYFS_TRY_BODY(result, ...)                     \
    __extension__({                                     \
        auto result = (__VA_ARGS__);                    \
        if (!result) [[unlikely]]                       \
            return result.error();                      \
        ::plyfs::detail::take_value(std::move(result)); \
    })

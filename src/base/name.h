// Name: one validated path component, as bytes. Holding a Name proves that there is no '/' or NUL in it, that it is
// not empty, "." or "..", and at most 255 bytes long, so that a *at() call with it can not leave its directory.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace plyfs {

class Name {
  public:
    static constexpr std::size_t kMax = 255;

    // EINVAL for what is no component, ENAMETOOLONG above kMax.
    static Result<Name> parse(std::string_view bytes);

    // Always NUL-terminated: made from a string the caller keeps alive for as long as the Name.
    const char* c_str() const { return data_; }
    std::string_view view() const { return {data_, size_}; }
    std::string str() const { return std::string(view()); }
    friend bool operator==(const Name& a, const Name& b) { return a.view() == b.view(); }

  private:
    Name(const char* data, std::size_t size) : data_(data), size_(size) {}
    const char* data_;
    std::size_t size_;
};

}  // namespace plyfs

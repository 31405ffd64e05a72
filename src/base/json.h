// JSON as the control socket speaks it: one value a line.
//
// File names are bytes. A byte that is no part of valid UTF-8 is written as the escape of a lone surrogate, \udc80 to
// \udcff (its value and 0xdc00), and read back from that: what Python calls surrogateescape. Nothing else is a lone
// surrogate here, and text that is no UTF-8 outside of escapes is refused.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace plyfs {

class Json {
  public:
    using Array = std::vector<Json>;
    using Member = std::pair<std::string, Json>;
    using Object = std::vector<Member>;  // in the order of writing

    Json() = default;
    Json(std::same_as<bool> auto value) : value_(value) {}  // NOLINT: implicit, as literals are
    Json(std::unsigned_integral auto value) requires(!std::same_as<decltype(value), bool>)  // NOLINT
        : value_(static_cast<std::uint64_t>(value)) {}
    Json(std::signed_integral auto value) {  // NOLINT
        if (value >= 0) {
            value_ = static_cast<std::uint64_t>(value);
        } else {
            value_ = static_cast<double>(value);
        }
    }
    Json(double value) : value_(value) {}                         // NOLINT
    Json(std::string value) : value_(std::move(value)) {}         // NOLINT
    Json(std::string_view value) : value_(std::string(value)) {}  // NOLINT
    Json(const char* value) : value_(std::string(value)) {}       // NOLINT
    Json(Array value) : value_(std::move(value)) {}               // NOLINT
    Json(Object value) : value_(std::move(value)) {}              // NOLINT
    static Json array() { return Array(); }
    static Json object() { return Object(); }

    bool is_nothing() const { return std::holds_alternative<std::monostate>(value_); }
    bool is_object() const { return std::holds_alternative<Object>(value_); }
    bool is_array() const { return std::holds_alternative<Array>(value_); }
    bool is_string() const { return std::holds_alternative<std::string>(value_); }

    // What it is not, or does not have, is empty, zero or false: a reply is read without asking for each thing.
    const Json& operator[](std::string_view key) const;
    const Object& members() const;
    const Array& items() const;
    const std::string& text() const;
    std::uint64_t number() const;
    double real() const;
    bool is_true() const;

    // Of an object, after those it has; of an array.
    Json& add(std::string key, Json value);
    void push(Json value);

    std::string write() const;  // in one line, without an end of it
    // Nothing, and why in fault: what is no JSON (RFC 8259), too deep, or has something after it.
    static std::optional<Json> read(std::string_view text, std::string& fault);

  private:
    void write_to(std::string& out) const;

    std::variant<std::monostate, bool, std::uint64_t, double, std::string, Array, Object> value_;
};

}  // namespace plyfs

#include "base/json.h"

#include <fmt/format.h>

#include <cmath>

#include "base/utf8.h"

namespace plyfs {
namespace {

template <typename T>
const T& part(const T* value) {
    static const T kNone{};
    return value ? *value : kNone;
}

void write_text(const std::string& text, std::string& out) {
    out += '"';
    for (std::size_t i = 0; i < text.size();) {
        const auto c = static_cast<unsigned char>(text[i]);
        const std::size_t length = utf8_length(std::string_view(text).substr(i));
        if (length == 0) {
            out += fmt::format("\\udc{:02x}", c);
        } else if (c == '"' || c == '\\') {
            out += '\\';
            out += text[i];
        } else if (c < 0x20 || c == 0x7f) {
            out += fmt::format("\\u{:04x}", c);
        } else {
            out.append(text, i, length);
        }
        i += length ? length : 1;
    }
    out += '"';
}

}  // namespace

const Json& Json::operator[](std::string_view key) const {
    static const Json kNone;
    for (const Member& member : members()) {
        if (member.first == key) return member.second;
    }
    return kNone;
}

const Json::Object& Json::members() const {
    return part(std::get_if<Object>(&value_));
}

const Json::Array& Json::items() const {
    return part(std::get_if<Array>(&value_));
}

const std::string& Json::text() const {
    return part(std::get_if<std::string>(&value_));
}

std::uint64_t Json::number() const {
    return part(std::get_if<std::uint64_t>(&value_));
}

double Json::real() const {
    if (const auto* whole = std::get_if<std::uint64_t>(&value_)) return static_cast<double>(*whole);
    return part(std::get_if<double>(&value_));
}

bool Json::is_true() const {
    return part(std::get_if<bool>(&value_));
}

Json& Json::add(std::string key, Json value) {
    if (!is_object()) value_ = Object();
    auto& object = std::get<Object>(value_);
    object.emplace_back(std::move(key), std::move(value));
    return *this;
}

void Json::push(Json value) {
    if (!is_array()) value_ = Array();
    std::get<Array>(value_).push_back(std::move(value));
}

std::string Json::write() const {
    std::string out;
    write_to(out);
    return out;
}

void Json::write_to(std::string& out) const {
    if (const auto* flag = std::get_if<bool>(&value_)) {
        out += *flag ? "true" : "false";
    } else if (const auto* whole = std::get_if<std::uint64_t>(&value_)) {
        out += std::to_string(*whole);
    } else if (const auto* fraction = std::get_if<double>(&value_)) {
        out += std::isfinite(*fraction) ? fmt::format("{}", *fraction) : "null";
    } else if (is_string()) {
        write_text(text(), out);
    } else if (is_array()) {
        out += '[';
        for (const Json& item : items()) {
            if (&item != &items().front()) out += ',';
            item.write_to(out);
        }
        out += ']';
    } else if (is_object()) {
        out += '{';
        for (const Member& member : members()) {
            if (&member != &members().front()) out += ',';
            write_text(member.first, out);
            out += ':';
            member.second.write_to(out);
        }
        out += '}';
    } else {
        out += "null";
    }
}

}  // namespace plyfs

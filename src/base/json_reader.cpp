#include <charconv>
#include <cstdlib>

#include "base/json.h"
#include "base/utf8.h"

namespace plyfs {
namespace {

constexpr int kDeepest = 32;

class Reader {
  public:
    Reader(std::string_view text, std::string& fault) : text_(text), fault_(fault) {}

    std::optional<Json> read_all() {
        auto value = read_value(0);
        if (!value) return std::nullopt;
        skip_blanks();
        if (at_ != text_.size()) return fail("something comes after the value");
        return value;
    }

  private:
    std::nullopt_t fail(std::string_view what) {
        if (fault_.empty()) fault_ = "byte " + std::to_string(at_) + ": " + std::string(what);
        return std::nullopt;
    }
    bool more() const { return at_ < text_.size(); }
    bool take(char c) {
        if (!more() || text_[at_] != c) return false;
        ++at_;
        return true;
    }
    bool take_word(std::string_view word) {
        if (!text_.substr(at_).starts_with(word)) return false;
        at_ += word.size();
        return true;
    }
    void skip_blanks() {
        while (more() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
    }

    std::optional<Json> read_value(int depth) {
        if (depth > kDeepest) return fail("too many values inside each other");
        skip_blanks();
        if (take('{')) return read_object(depth);
        if (take('[')) return read_array(depth);
        if (take('"')) {
            auto text = read_text();
            if (!text) return std::nullopt;
            return Json(std::move(*text));
        }
        if (take_word("true")) return Json(true);
        if (take_word("false")) return Json(false);
        if (take_word("null")) return Json();
        return read_number();
    }

    std::optional<Json> read_object(int depth) {
        Json out = Json::object();
        skip_blanks();
        if (take('}')) return out;
        do {
            skip_blanks();
            if (!take('"')) return fail("a name in double quotes is wanted here");
            auto key = read_text();
            if (!key) return std::nullopt;
            skip_blanks();
            if (!take(':')) return fail("a colon is wanted here");
            auto value = read_value(depth + 1);
            if (!value) return std::nullopt;
            out.add(std::move(*key), std::move(*value));
            skip_blanks();
        } while (take(','));
        if (!take('}')) return fail("a comma or the end of the object is wanted here");
        return out;
    }

    std::optional<Json> read_array(int depth) {
        Json out = Json::array();
        skip_blanks();
        if (take(']')) return out;
        do {
            auto value = read_value(depth + 1);
            if (!value) return std::nullopt;
            out.push(std::move(*value));
            skip_blanks();
        } while (take(','));
        if (!take(']')) return fail("a comma or the end of the list is wanted here");
        return out;
    }

    // -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
    std::optional<Json> read_number() {
        const std::size_t begin = at_;
        const bool negative = take('-');
        const std::size_t first = at_;
        if (!skip_digits()) return fail("a value is wanted here");
        if (text_[first] == '0' && at_ > first + 1) return fail("a number does not begin with 0");
        bool whole = !negative;
        if (take('.')) {
            whole = false;
            if (!skip_digits()) return fail("digits are wanted after the point");
        }
        if (take('e') || take('E')) {
            whole = false;
            if (!take('+')) take('-');
            if (!skip_digits()) return fail("digits are wanted in the exponent");
        }
        const std::string_view digits = text_.substr(begin, at_ - begin);
        std::uint64_t number = 0;
        if (whole && std::from_chars(digits.data(), digits.data() + digits.size(), number).ec == std::errc()) {
            return Json(number);
        }
        return Json(std::strtod(std::string(digits).c_str(), nullptr));
    }
    bool skip_digits() {
        const std::size_t begin = at_;
        while (more() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
        return at_ > begin;
    }

    // Behind the opening quote.
    std::optional<std::string> read_text() {
        std::string out;
        while (more()) {
            const auto c = static_cast<unsigned char>(text_[at_]);
            if (c == '"') {
                ++at_;
                return out;
            }
            if (c == '\\') {
                ++at_;
                if (!read_escape(out)) return std::nullopt;
                continue;
            }
            if (c < 0x20) return fail("a control character has to be escaped");
            const std::size_t length = utf8_length(text_.substr(at_));
            if (length == 0) return fail("this is no UTF-8");
            out.append(text_.substr(at_, length));
            at_ += length;
        }
        return fail("a double quote is not closed");
    }

    bool read_escape(std::string& out) {
        constexpr std::string_view kLetters = "\"\\/bfnrt";
        constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
        if (!more()) return refuse("an escape is not finished");
        const char letter = text_[at_++];
        if (const auto place = kLetters.find(letter); place != std::string_view::npos) {
            out += kMeanings[place];
            return true;
        }
        if (letter != 'u') return refuse("there is no such escape");
        const auto code = read_hex();
        if (!code) return false;
        if (*code >= 0xdc80 && *code <= 0xdcff) {
            out += static_cast<char>(*code - 0xdc00);  // a byte
            return true;
        }
        if (*code < 0xd800 || *code > 0xdfff) return append_utf8(*code, out);
        if (*code > 0xdbff || !take_word("\\u")) return refuse("a surrogate without its other half");
        const auto low = read_hex();
        if (!low) return false;
        if (*low < 0xdc00 || *low > 0xdfff) return refuse("a surrogate without its other half");
        return append_utf8(0x10000 + ((*code - 0xd800) << 10) + (*low - 0xdc00), out);
    }
    bool refuse(std::string_view what) {
        fail(what);
        return false;
    }
    std::optional<std::uint32_t> read_hex() {
        std::uint32_t code = 0;
        if (at_ + 4 > text_.size()) return fail("an escape is not finished");
        const char* begin = text_.data() + at_;
        const auto [end, error] = std::from_chars(begin, begin + 4, code, 16);
        if (error != std::errc() || end != begin + 4) return fail("four hexadecimal digits are wanted here");
        at_ += 4;
        return code;
    }
    static bool append_utf8(std::uint32_t code, std::string& out) {
        const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
        if (code < 0x80) {
            put(code);
        } else if (code < 0x800) {
            put(0xc0 | code >> 6);
            put(0x80 | (code & 0x3f));
        } else if (code < 0x10000) {
            put(0xe0 | code >> 12);
            put(0x80 | (code >> 6 & 0x3f));
            put(0x80 | (code & 0x3f));
        } else {
            put(0xf0 | code >> 18);
            put(0x80 | (code >> 12 & 0x3f));
            put(0x80 | (code >> 6 & 0x3f));
            put(0x80 | (code & 0x3f));
        }
        return true;
    }

    std::string_view text_;
    std::string& fault_;
    std::size_t at_ = 0;
};

}  // namespace

std::optional<Json> Json::read(std::string_view text, std::string& fault) {
    fault.clear();
    return Reader(text, fault).read_all();
}

}  // namespace plyfs

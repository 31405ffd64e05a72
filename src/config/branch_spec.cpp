#include "config/branch_spec.h"

#include <algorithm>

#include "config/error.h"
#include "config/value.h"

namespace plyfs::config {
namespace {

constexpr std::string_view kModes[] = {"rw", "ro", "nc"};  // in the order of BranchMode

std::string lower_case(std::string_view word) {
    std::string out(word);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

constexpr std::string_view kPatternCharacters = "*?[]\\";
constexpr std::string_view kPatternBegins = "*?[";

std::string escape_pattern(std::string_view path) {
    std::string out;
    for (char c : path) {
        if (kPatternCharacters.find(c) != std::string_view::npos) out += '\\';
        out += c;
    }
    return out;
}

// The last '=' without a backslash before it: the mode follows it, and names may have further ones.
std::size_t find_mode_mark(std::string_view written) {
    std::size_t mark = std::string_view::npos;
    for (std::size_t i = 0; i < written.size(); ++i) {
        if (written[i] == '\\') {
            ++i;
        } else if (written[i] == '=') {
            mark = i;
        }
    }
    return mark;
}

}  // namespace

std::vector<std::string> split_list(std::string_view list) {
    std::vector<std::string> parts(1);
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (list[i] == '\\' && i + 1 < list.size()) {
            parts.back() += list.substr(i++, 2);
        } else if (list[i] == ':') {
            parts.emplace_back();
        } else {
            parts.back() += list[i];
        }
    }
    return parts;
}

std::string unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) ++i;
        out += text[i];
    }
    return out;
}

std::string make_absolute(std::string_view path, std::string_view base) {
    if (path.empty()) throw BadValue("a directory is empty; take the extra ':' away or name the directory");
    std::string joined(path);
    if (joined.front() != '/') joined = std::string(base) + "/" + joined;
    std::string out;
    for (std::size_t i = 0; i < joined.size();) {
        const std::size_t end = std::min(joined.find('/', i), joined.size());
        const std::string_view part = std::string_view(joined).substr(i, end - i);
        if (!part.empty() && part != ".") out.append("/").append(part);
        i = end + 1;
    }
    return out.empty() ? "/" : out;
}

BranchMode parse_mode(std::string_view word) {
    const std::string lower = lower_case(word);
    const auto* found = std::find(std::begin(kModes), std::end(kModes), lower);
    if (found == std::end(kModes)) {
        throw BadValue("unknown branch mode '" + std::string(word) +
                       "'; use rw, ro or nc, and write \\= for an equals sign in a name");
    }
    return static_cast<BranchMode>(found - std::begin(kModes));
}

std::string_view mode_name(BranchMode mode) {
    return kModes[static_cast<int>(mode)];
}

void parse_branch_mode(std::string_view text, BranchSpec& spec) {
    const std::size_t comma = text.find(',');
    spec.mode = parse_mode(text.substr(0, comma));
    if (comma != std::string_view::npos) spec.min_free = parse_min_free(text.substr(comma + 1));
}

void set_branch_path(BranchSpec& spec, std::string_view written, std::string_view base, bool escapes) {
    std::string pattern;
    std::string plain;  // where a backslash is for a pattern's characters alone
    for (std::size_t i = 0; i < written.size(); ++i) {
        const bool escaped = written[i] == '\\' && i + 1 < written.size();
        if (escaped) ++i;
        const bool special = kPatternCharacters.find(written[i]) != std::string_view::npos;
        if (!escaped && kPatternBegins.find(written[i]) != std::string_view::npos) spec.pattern = true;
        if (escaped && special) pattern += '\\';
        pattern += written[i];
        if (escaped && !special) plain += '\\';
        plain += written[i];
    }
    if (spec.pattern) {
        spec.path = make_absolute(pattern, escape_pattern(base));
    } else {
        spec.path = make_absolute(escapes ? unescape(written) : plain, base);
    }
}

BranchSpec parse_branch(std::string_view written, std::string_view base) {
    BranchSpec spec;
    spec.written = written;
    const std::size_t mark = find_mode_mark(written);
    if (mark != std::string_view::npos) parse_branch_mode(written.substr(mark + 1), spec);
    set_branch_path(spec, written.substr(0, mark), base, true);
    return spec;
}

std::string escape_branch_path(std::string_view path) {
    std::string out;
    for (const char c : path) {
        const bool sign = c == ':' || c == '=' || kPatternCharacters.find(c) != std::string_view::npos;
        if (sign && c != ']') out += '\\';
        out += c;
    }
    return out;
}

std::vector<BranchSpec> parse_branches(std::string_view list, std::string_view base) {
    std::vector<BranchSpec> specs;
    for (const std::string& part : split_list(list)) specs.push_back(parse_branch(part, base));
    return specs;
}

LayerPaths parse_layers(std::string_view list, std::string_view base) {
    LayerPaths paths;
    const std::vector<std::string> parts = split_list(list);
    bool data = false;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        // Between the colons of a "::" lies an empty part.
        const bool marked = parts[i].empty() && i > 0 && i + 1 < parts.size();
        if (marked) {
            data = true;
            ++i;
        } else if (data) {
            throw BadValue("'" + unescape(parts[i]) +
                           "' follows a data-only layer and is none; write '::' before each of those, at the end");
        }
        auto& kind = data ? paths.data : paths.lowers;
        kind.push_back(make_absolute(unescape(parts[i]), base));
    }
    return paths;
}

}  // namespace plyfs::config

#include <algorithm>

#include "config/error.h"
#include "config/option_words.h"
#include "ctl/import.h"

namespace plyfs::ctl {
namespace {

constexpr std::string_view kOverlay = "storage.options.overlay";

std::string trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return {};
    return std::string(text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1));
}

// TOML, as far as this file has it: tables, and a key and a text a line.
struct TomlLine {
    std::string table;  // "[a.b]" is "a.b"; empty: no table begins here
    std::string key;
    std::string value;  // of a text, without its quotes; of others as it is written
    std::string fault;  // empty: it can be read
};

// How many lists a value opens more than it closes; what stands in quotes, or in a comment, does not count.
int open_lists(std::string_view value) {
    int open = 0;
    char quote = 0;
    for (const char c : value) {
        if (quote != 0) {
            if (c == quote) quote = 0;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '#') {
            break;
        } else if (c == '[' || c == ']') {
            open += c == '[' ? 1 : -1;
        }
    }
    return open;
}

TomlLine read_line(const std::string& written) {
    const std::string line = trimmed(written);
    TomlLine out;
    if (line.empty() || line.starts_with("#")) return out;
    if (line.starts_with("[")) {
        if (line.find(']') == std::string::npos) out.fault = "the table's name has no ']'";
        out.table = trimmed(std::string_view(line).substr(1, line.find(']') - 1));
        return out;
    }
    const std::size_t mark = line.find('=');
    if (mark == std::string::npos) {
        out.fault = "is neither a table, nor KEY = VALUE";
        return out;
    }
    out.key = trimmed(std::string_view(line).substr(0, mark));
    std::string value = trimmed(std::string_view(line).substr(mark + 1));
    const bool quoted = value.starts_with('"') || value.starts_with('\'');
    const std::size_t end = quoted ? value.find(value[0], 1) : value.find('#');
    if (quoted && end == std::string::npos) out.fault = "the text has no end; close it with " + value.substr(0, 1);
    out.value = quoted ? value.substr(1, end == std::string::npos ? end : end - 1) : trimmed(value.substr(0, end));
    return out;
}

class Storage {
  public:
    explicit Storage(std::string program) : program_(std::move(program)) {}

    Imported run(const std::string& text) {
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = std::min(text.find('\n', at), text.size());
            take(text.substr(at, end - at));
            at = end + 1;
        }
        if (!driver_.empty() && driver_ != "overlay" && driver_ != "overlay2") {
            out_.faults.push_back("its driver is " + driver_ + ", which mounts nothing; set driver = \"overlay\"");
        }
        if (!replaced_) add();
        return std::move(out_);
    }

  private:
    void take(const std::string& line) {
        ++number_;
        // A list may go on over several lines, none of which is about us.
        if (lists_ > 0) {
            lists_ += open_lists(line);
            out_.text += line + "\n";
            return;
        }
        const TomlLine read = read_line(line);
        if (!read.fault.empty()) out_.faults.push_back("line " + std::to_string(number_) + ": " + read.fault);
        if (!read.key.empty()) lists_ = open_lists(std::string_view(line).substr(line.find('=') + 1));
        if (!read.table.empty()) table_ = read.table;
        if (table_ == "storage" && read.key == "driver") driver_ = read.value;
        const bool options = table_ == kOverlay || table_ == "storage.options";
        // Of the older place the key had the driver's name before it.
        if (options && (read.key == "mount_program" || read.key == "overlay.mount_program")) return replace(line, read);
        if (options && (read.key == "mountopt" || read.key == "overlay.mountopt")) check_options(read.value);
        out_.text += line + "\n";
        if (read.table == kOverlay) after_table_ = out_.text.size();
    }

    void replace(const std::string& line, const TomlLine& read) {
        replaced_ = true;
        if (read.value == program_) {
            out_.text += line + "\n";
            return;
        }
        out_.text += line.substr(0, line.find('=')) + "= \"" + program_ + "\"\n";
        out_.changes.push_back("mount_program is " + program_ + " instead of " + read.value);
    }

    void add() {
        const std::string line = "mount_program = \"" + program_ + "\"\n";
        if (after_table_ == 0) {
            out_.text += "\n[" + std::string(kOverlay) + "]\n" + line;
        } else {
            out_.text.insert(after_table_, line);
        }
        out_.changes.push_back("mount_program is " + program_ + "; none was given, which is the kernel's overlayfs");
    }

    void check_options(const std::string& options) {
        config::Draft draft;
        draft.base = "/";
        draft.config.drop_in = true;
        try {
            config::apply_words(draft, config::split_words(options));
        } catch (const config::BadValue& e) {
            draft.errors.push_back(e.what());
        }
        for (const auto& line : draft.errors) out_.faults.push_back("mountopt: " + line);
        for (const auto& line : draft.notices) out_.changes.push_back("mountopt: " + line);
    }

    const std::string program_;
    std::string table_, driver_;
    bool replaced_ = false;
    int number_ = 0, lists_ = 0;
    std::size_t after_table_ = 0;
    Imported out_;
};

}  // namespace

Imported import_storage(const std::string& text, const std::string& program) {
    return Storage(program).run(text);
}

}  // namespace plyfs::ctl

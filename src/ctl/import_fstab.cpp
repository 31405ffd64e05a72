#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/branch_spec.h"
#include "config/error.h"
#include "config/option_words.h"
#include "config/options.h"
#include "ctl/import.h"

namespace plyfs::ctl {
namespace {

using config::Draft;
using config::OptionWord;

struct Program {
    Foreign which;
    std::string_view name;
    std::array<std::string_view, 2> types;  // of fstab's lines
};
constexpr Program kPrograms[] = {
    {Foreign::mergerfs, "mergerfs", {"fuse.mergerfs", "mergerfs"}},
    {Foreign::fuse_overlayfs, "fuse-overlayfs", {"fuse.fuse-overlayfs", "fuse-overlayfs"}},
    {Foreign::overlay, "overlay", {"overlay", "overlayfs"}},
};

const Program& row_of(Foreign program) {
    return *std::find_if(std::begin(kPrograms), std::end(kPrograms),
                         [&](const Program& p) { return p.which == program; });
}

std::vector<std::string> fields_of(const std::string& line) {
    std::vector<std::string> out;
    constexpr const char* kBlank = " \t\r\n";
    for (std::size_t at = line.find_first_not_of(kBlank); at != std::string::npos;) {
        const std::size_t end = std::min(line.find_first_of(kBlank, at), line.size());
        out.push_back(line.substr(at, end - at));
        at = line.find_first_not_of(kBlank, end);
    }
    return out;
}

// "\040" is a blank, and so on.
std::string decoded(const std::string& field) {
    std::string out;
    for (std::size_t i = 0; i < field.size(); ++i) {
        const auto digit = [&](std::size_t place, char most) {
            return i + place < field.size() && field[i + place] >= '0' && field[i + place] <= most;
        };
        if (field[i] == '\\' && digit(1, '3') && digit(2, '7') && digit(3, '7')) {
            out += static_cast<char>((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + field[i + 3] - '0');
            i += 3;
        } else {
            out += field[i];
        }
    }
    return out;
}

std::string encoded(const std::string& text) {
    std::string out;
    for (const char c : text) {
        const bool plain = c != ' ' && c != '\t' && c != '\n' && c != '\\';
        out += plain ? std::string(1, c) : fmt::format("\\{:03o}", static_cast<unsigned char>(c));
    }
    return out;
}

std::string written(const OptionWord& word) {
    std::string out = word.name + (word.value ? "=" + *word.value : "");
    for (std::size_t at = out.find(','); at != std::string::npos; at = out.find(',', at + 2)) out.insert(at, "\\");
    return out;
}

bool is_given(const std::vector<OptionWord>& words, std::initializer_list<std::string_view> names) {
    return std::any_of(words.begin(), words.end(), [&](const OptionWord& word) {
        const auto match = config::find_option(word.name);
        return match && std::find(names.begin(), names.end(), match->option->name) != names.end();
    });
}

class Line {
  public:
    Line(Foreign program, std::vector<std::string> fields) : program_(program), fields_(std::move(fields)) {}

    Imported run() {
        try {
            convert();
        } catch (const config::BadValue& e) {
            out_.faults.push_back(e.what());
        } catch (const config::Error& e) {
            out_.faults = e.messages();
        }
        return std::move(out_);
    }

  private:
    void convert() {
        const std::string name(row_of(program_).name);
        out_.changes.push_back("the type is plyfs instead of " + fields_[2]);
        // The older way of saying which program it is.
        if (fields_[0].starts_with(name + "#")) fields_[0].erase(0, name.size() + 1);
        for (auto& word : config::split_words(decoded(fields_[3]))) take(std::move(word));
        add_what_keeps_the_meaning();
        check();
        std::string options;
        for (const OptionWord& word : words_) options += (options.empty() ? "" : ",") + written(word);
        fields_[2] = "plyfs";
        fields_[3] = encoded(options.empty() ? "defaults" : options);
        for (const std::string& field : fields_) out_.text += (out_.text.empty() ? "" : "  ") + field;
    }

    // What means nothing here is left out; its own notice says why.
    void take(OptionWord word) {
        Draft alone;
        alone.base = "/";
        alone.config.drop_in = program_ == Foreign::fuse_overlayfs;  // whose unknown words it ignores itself
        config::apply_words(alone, {word});
        if (alone.notices.empty()) return words_.push_back(std::move(word));
        for (const std::string& notice : alone.notices) out_.changes.push_back(notice + "; left out");
    }

    void add_what_keeps_the_meaning() {
        if (program_ == Foreign::mergerfs) return add_for_pools();
        if (program_ == Foreign::overlay && is_given(words_, {"upperdir"}) && !is_given(words_, {"redirect_dir"})) {
            say("redirect_dir is on unless it is given: directories of the layers below can be renamed; "
                "redirect_dir=off makes that EXDEV again, as it is with most kernels");
        }
    }

    void add_for_pools() {
        if (!is_given(words_, {"create", "func.create"})) {
            say("no create policy is given: it is pfrd, as of mergerfs from 2.41 on; category.create=epmfs is what "
                "older ones did");
        }
        const auto branches = config::parse_branches(decoded(fields_[0]), "/");
        if (std::any_of(branches.begin(), branches.end(),
                        [](const auto& b) { return b.mode == config::BranchMode::ro; })) {
            add("copyup", "off", "so that files on read-only branches can not be changed, as with mergerfs");
            add("whiteouts", "off", "so that nothing hides what lies on them");
        }
        add("posix-acl", "off", "which is mergerfs' default; ACLs count without it");
        if (!is_given(words_, {"export-support"})) {
            say("no file handles are given, as NFS needs them; export-support does that, as is mergerfs' default");
        }
        if (!is_given(words_, {"inodecalc"})) {
            say("inode numbers are others: the branch's own, made unique; inodecalc=hybrid-hash is mergerfs' "
                "default");
        }
        if (!is_given(words_, {"minfreespace"})) {
            say("minfreespace is 4G, as with mergerfs, but never more than 5% of a branch");
        }
    }

    void add(const std::string& name, const std::string& value, const std::string& why) {
        if (is_given(words_, {name})) return;
        words_.push_back({name, value});
        say(name + "=" + value + " is added, " + why);
    }
    void say(std::string line) { out_.changes.push_back(std::move(line)); }

    // As the mount will read it.
    void check() {
        Draft draft;
        draft.base = "/";
        config::apply_words(draft, words_);
        draft.config.mountpoint = config::make_absolute(decoded(fields_[1]), "/");
        if (program_ == Foreign::mergerfs) draft.branches = config::parse_branches(decoded(fields_[0]), "/");
        config::settle(draft, true);
        for (std::string& notice : draft.notices) say(std::move(notice));
    }

    const Foreign program_;
    std::vector<std::string> fields_;
    std::vector<OptionWord> words_;
    Imported out_;
};

}  // namespace

std::optional<Foreign> foreign_of(std::string_view word) {
    for (const Program& program : kPrograms) {
        if (program.name == word) return program.which;
    }
    return std::nullopt;
}

std::optional<Imported> import_line(Foreign program, const std::string& line) {
    std::vector<std::string> fields = fields_of(line);
    if (fields.size() < 3 || fields[0].starts_with("#")) return std::nullopt;
    const Program& row = row_of(program);
    const bool older = fields[2] == "fuse" && fields[0].starts_with(std::string(row.name) + "#");
    if (!older && std::find(row.types.begin(), row.types.end(), fields[2]) == row.types.end()) return std::nullopt;
    if (fields.size() < 4) fields.emplace_back("defaults");
    return Line(program, std::move(fields)).run();
}

}  // namespace plyfs::ctl

#include "app/arguments.h"

namespace plyfs::app {
namespace {

using A = Arguments;
using S = const std::string&;

// clang-format off
constexpr Flag kFlags[] = {
    {'o', "",           "OPTIONS", Caller::any,    "options, with commas between; may be given several times",
     [](A& a, S v) { a.option_strings.push_back(v); }},
    {'f', "foreground", "",        Caller::person, "stay in the foreground",
     [](A& a, S) { a.foreground = true; }},
    {'f', "fake",       "",        Caller::helper, "check everything, but do not mount",
     [](A& a, S) { a.fake = true; }},
    {'d', "debug",      "",        Caller::any,    "stay in the foreground and log every request",
     [](A& a, S) { a.debug = true; }},
    {'r', "",           "",        Caller::any,    "as -o ro",
     [](A& a, S) { a.read_only = true; }},
    {'w', "",           "",        Caller::any,    "as -o rw",
     [](A& a, S) { a.read_only = false; }},
    {'s', "",           "",        Caller::any,    "unknown options are a notice, not an error",
     [](A& a, S) { a.sloppy = true; }},
    {'v', "verbose",    "",        Caller::any,    "say what is done",
     [](A& a, S) { a.verbose = true; }},
    {'n', "",           "",        Caller::any,    "no effect: there is no mtab to write",
     [](A&, S) {}},
    {'t', "",           "TYPE",    Caller::any,    "no effect: the type is fuse.plyfs, or as subtype= says",
     [](A&, S) {}},
    {'N', "",           "FILE",    Caller::helper, "mount in this mount namespace",
     [](A& a, S v) { a.mount_namespace = v; }},
    {'h', "help",       "",        Caller::any,    "show this help",
     [](A& a, S) { a.help = true; }},
    {'V', "version",    "",        Caller::any,    "show versions and what the kernel offers",
     [](A& a, S) { a.version = true; }},
};
// clang-format on

class ArgumentReader {
  public:
    ArgumentReader(const std::vector<std::string>& argv, Manner manner, std::vector<std::string>& errors)
        : argv_(argv), manner_(manner), errors_(errors) {}

    Arguments read() {
        for (at_ = 1; at_ < argv_.size(); ++at_) {
            const std::string& argument = argv_[at_];
            if (argument == "--") {
                out_.words.insert(out_.words.end(), argv_.begin() + static_cast<std::ptrdiff_t>(at_) + 1, argv_.end());
                break;
            }
            if (argument.starts_with("--")) {
                read_long(argument);
            } else if (argument.starts_with("-") && argument.size() > 1) {
                read_letters(argument);
            } else {
                out_.words.push_back(argument);
            }
        }
        return std::move(out_);
    }

  private:
    template <typename F>
    const Flag* find(F matches) const {
        const Caller unknown = manner_ == Manner::helper ? Caller::person : Caller::helper;
        for (const Flag& flag : kFlags) {
            if (flag.caller != unknown && matches(flag)) return &flag;
        }
        return nullptr;
    }

    void unknown(const std::string& written) {
        if (manner_ == Manner::drop_in) return out_.ignored.push_back(argv_[at_]);
        errors_.push_back("unknown flag '" + written + "'; plyfs --help lists those there are");
    }

    void read_long(const std::string& argument) {
        const Flag* flag =
            find([&](const Flag& f) { return !f.long_name.empty() && argument.substr(2) == f.long_name; });
        if (!flag) return unknown(argument);
        flag->set(out_, "");
    }

    // "-fd", "-o VALUE", "-oVALUE"
    void read_letters(const std::string& argument) {
        for (std::size_t i = 1; i < argument.size(); ++i) {
            const Flag* flag = find([&](const Flag& f) { return f.letter == argument[i]; });
            if (!flag) return unknown("-" + argument.substr(i, 1));
            if (flag->value.empty()) {
                flag->set(out_, "");
                continue;
            }
            if (i + 1 < argument.size()) return flag->set(out_, argument.substr(i + 1));
            if (at_ + 1 < argv_.size()) return flag->set(out_, argv_[++at_]);
            return errors_.push_back("-" + argument.substr(i, 1) +
                                     " wants a value after it: " + std::string(flag->value));
        }
    }

    const std::vector<std::string>& argv_;
    const Manner manner_;
    std::vector<std::string>& errors_;
    std::size_t at_ = 0;
    Arguments out_;
};

}  // namespace

std::span<const Flag> flag_table() {
    return kFlags;
}

Arguments read_arguments(const std::vector<std::string>& argv, Manner manner, std::vector<std::string>& errors) {
    return ArgumentReader(argv, manner, errors).read();
}

}  // namespace plyfs::app

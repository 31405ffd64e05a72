#include "ctl/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>

#include "config/nearest.h"
#include "ctl/commands.h"
#include "ctl/failure.h"

namespace plyfs::ctl {
namespace {

constexpr std::size_t kAny = 1000;

// wanted: what it is, and its bounds in words.
double number_of(const std::string& flag, const std::string& text, double least, double most, const char* wanted) {
    double value = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (fault != std::errc() || end != text.data() + text.size() || !(value >= least && value <= most)) {
        throw Failure(flag + "=" + text + ": " + wanted, ExitCode::usage);
    }
    return value;
}

std::string text_of(const std::string& flag, const std::string& text) {
    if (text.empty()) throw Failure(flag + "= wants something after it", ExitCode::usage);
    return text;
}

std::string one_of(const std::string& flag, const std::string& text, std::initializer_list<std::string_view> words) {
    if (std::find(words.begin(), words.end(), text) != words.end()) return text;
    throw Failure(flag + "=" + text + " is none of " + fmt::format("{}", fmt::join(words, ", ")), ExitCode::usage);
}

int count_of(const std::string& flag, const std::string& text) {
    int value = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (fault != std::errc() || end != text.data() + text.size() || value < 1) {
        throw Failure(flag + "=" + text + ": a number from 1 on is wanted", ExitCode::usage);
    }
    return value;
}

// clang-format off
constexpr Flag kFlags[] = {
    {"json", "", "answer in JSON, a line for each mount",
     [](Words& w, const std::string&) { w.json = true; }},
    {"create", "", "explain: where a new file of that name would go",
     [](Words& w, const std::string&) { w.create = true; }},
    {"directory", "", "with --create: a new directory",
     [](Words& w, const std::string&) { w.create = w.directory = true; }},
    {"content", "", "fsck: compare also what files contain",
     [](Words& w, const std::string&) { w.content = true; }},
    {"fix", "", "fsck: mend what can be mended",
     [](Words& w, const std::string&) { w.fix = true; }},
    {"save", "", "set: in the mount's configuration file as well",
     [](Words& w, const std::string&) { w.save = true; }},
    {"first", "", "branch add: before all others",
     [](Words& w, const std::string&) { w.first = true; }},
    {"force", "", "branch, reload, upgrade: although what is open would be lost",
     [](Words& w, const std::string&) { w.force = true; }},
    {"keep", "first|newest|largest", "fsck --fix: which of several copies the others are made like",
     [](Words& w, const std::string& v) { w.fix = true; w.keep = one_of("--keep", v, {"first", "newest", "largest"}); }},
    {"interval", "SECONDS", "top: how long is counted each time [1]",
     [](Words& w, const std::string& v) { w.interval = number_of("--interval", v, 0.05, 86400, "seconds are wanted, 0.05 to 86400"); }},
    {"count", "N", "top: how often, instead of until it is interrupted",
     [](Words& w, const std::string& v) { w.count = count_of("--count", v); }},
    {"within", "PERCENT", "balance: by how much branches may differ [2]",
     [](Words& w, const std::string& v) { w.within = number_of("--within", v, 0.1, 100, "a percentage is wanted, 0.1 to 100"); }},
    {"copies", "N", "dup, dedup: how many a file is to have [2, 1]",
     [](Words& w, const std::string& v) { w.copies = count_of("--copies", v); }},
    {"tar", "FILE", "diff: write an archive of a layer there; -: to standard output",
     [](Words& w, const std::string& v) { w.tar = text_of("--tar", v); }},
    {"fstab", "FILE", "import: take the lines from there instead of standard input",
     [](Words& w, const std::string& v) { w.fstab = text_of("--fstab", v); }},
    {"storage", "FILE", "import fuse-overlayfs: take the storage.conf of podman and buildah there",
     [](Words& w, const std::string& v) { w.storage = text_of("--storage", v); }},
    {"listen", "WHERE", "metrics: serve them at unix:PATH, 127.0.0.1:PORT or [::1]:PORT",
     [](Words& w, const std::string& v) { w.listen = text_of("--listen", v); }},
    {"pid", "PID", "reload: the mount that this process serves",
     [](Words& w, const std::string& v) { w.pid = count_of("--pid", v); }},
};

constexpr Command kCommands[] = {
    {"list", "", 0, 0, "",
     "all mounts of plyfs, and who serves them", run_list},
    {"status", "[MOUNT]", 0, 1, "",
     "branches and how they are served; transport, coherence", run_status},
    {"top", "[MOUNT]", 0, 1, "interval count",
     "what is being done: operations a second and how long they take", run_top},
    {"explain", "PATH", 1, 1, "create directory",
     "which branch answers for a name, and why", run_explain},
    {"get", "MOUNT [OPTION]...", 1, kAny, "",
     "options as they are now; without a name all that are told", run_get},
    {"set", "MOUNT OPTION=VALUE...", 2, kAny, "save",
     "change options until the mount ends", run_set},
    {"reload", "[MOUNT]", 0, 1, "pid force",
     "read the configuration file again", run_reload},
    {"branch mode", "MOUNT BRANCH rw|nc|ro", 3, 3, "force",
     "whether a branch of a pool is changed and takes new names", run_branch_mode},
    {"branch add", "MOUNT BRANCH[=MODE[,MINFREE]]...", 2, kAny, "first force",
     "give a pool that is mounted further branches", run_branch_add},
    {"branch remove", "MOUNT BRANCH...", 2, kAny, "force",
     "take branches from a pool that is mounted, with what is on them", run_branch_remove},
    {"upgrade", "[MOUNT]", 0, 1, "force",
     "serve with the program as it is installed by now, without an umount", run_upgrade},
    {"drain", "MOUNT BRANCH", 2, 2, "",
     "move everything off a branch of a pool", run_drain},
    {"balance", "MOUNT", 1, 1, "within",
     "move files from full branches to empty ones", run_balance},
    {"dup", "MOUNT [PATTERN]", 1, 2, "copies",
     "copy files of a pool to further branches", run_dup},
    {"dedup", "MOUNT [PATTERN]", 1, 2, "copies",
     "remove copies that are the same as the one that is seen", run_dedup},
    {"fsck", "MOUNT", 1, 1, "content fix keep",
     "find, and mend, copies that differ and what is left over", run_fsck},
    {"diff", "MOUNT", 1, 1, "tar",
     "what the upper of layers changes, as a list or an archive", run_diff},
    {"commit", "MOUNT DIR", 2, 2, "",
     "what the upper of layers changes, as a new layer in DIR", run_commit},
    {"import", "PROGRAM [LINE]", 1, kAny, "fstab storage",
     "write mounts of mergerfs, fuse-overlayfs or overlay as for plyfs", run_import},
    {"metrics", "[MOUNT]", 0, 1, "listen",
     "counters in the text format of Prometheus", run_metrics},
    {"config check", "FILE", 1, 1, "",
     "say everything that is wrong with a configuration file", run_config_check},
};
// clang-format on

[[noreturn]] void misuse(const std::string& line) {
    throw Failure(line, ExitCode::usage);
}

// The words of a command's name are the first arguments that are no flags.
const Command* find_command(std::vector<std::string>& words) {
    for (const Command& command : kCommands) {
        const std::size_t blank = command.name.find(' ');
        const std::string_view first = command.name.substr(0, blank);
        if (words[0] != first) continue;
        if (blank == std::string_view::npos) {
            words.erase(words.begin());
            return &command;
        }
        if (words.size() > 1 && words[1] == command.name.substr(blank + 1)) {
            words.erase(words.begin(), words.begin() + 2);
            return &command;
        }
    }
    return nullptr;
}

[[noreturn]] void refuse_command(const std::vector<std::string>& words) {
    std::string list, seconds;
    for (const Command& command : kCommands) {
        list += (list.empty() ? "" : "|") + std::string(command.name);
        if (command.name.starts_with(words[0] + " ")) {
            seconds += (seconds.empty() ? "" : ", ") + std::string(command.name.substr(words[0].size() + 1));
        }
    }
    if (!seconds.empty()) misuse("'" + words[0] + "' wants a second word: " + seconds);
    const std::string near = config::nearest_word(list, words[0]);
    misuse("unknown command '" + words[0] + "'; " +
           (near.empty() ? std::string("plyctl --help lists those there are") : "did you mean '" + near + "'?"));
}

const Flag& find_flag(const std::string& name) {
    for (const Flag& flag : kFlags) {
        if (flag.name == name) return flag;
    }
    misuse("unknown option '--" + name + "'; plyctl --help lists those there are");
}

bool knows(const Command& command, std::string_view flag) {
    if (flag == "json") return true;
    return (" " + std::string(command.flags) + " ").find(" " + std::string(flag) + " ") != std::string::npos;
}

// Sets it, and takes its value from the next argument if it is not in this one.
const Flag& take_flag(const std::vector<std::string>& argv, std::size_t& at, Words& words) {
    const std::string written = argv[at].substr(2);
    const std::size_t mark = written.find('=');
    const std::string given = written.substr(0, mark);
    const Flag& flag = find_flag(given);
    const std::string name = "--" + std::string(flag.name);
    if (flag.value.empty()) {
        if (mark != std::string::npos) misuse(name + " takes no value");
        flag.set(words, "");
    } else if (mark != std::string::npos) {
        flag.set(words, written.substr(mark + 1));
    } else if (at + 1 < argv.size()) {
        flag.set(words, argv[++at]);
    } else {
        misuse(name + " wants a value after it: " + std::string(flag.value));
    }
    return flag;
}

}  // namespace

std::span<const Flag> flag_table() {
    return kFlags;
}

std::span<const Command> command_table() {
    return kCommands;
}

Parsed parse(const std::vector<std::string>& argv) {
    Parsed out;
    std::vector<std::string_view> flags;
    auto& arguments = out.words.arguments;
    for (std::size_t at = 0; at < argv.size(); ++at) {
        const std::string& word = argv[at];
        if (word == "--") {
            arguments.insert(arguments.end(), argv.begin() + static_cast<std::ptrdiff_t>(at) + 1, argv.end());
            break;
        }
        if (word == "-h" || word == "--help") return Parsed();
        if (word == "-V" || word == "--version") {
            out.version = true;
            return out;
        }
        if (word.starts_with("--")) {
            flags.push_back(take_flag(argv, at, out.words).name);
        } else if (word.starts_with("-") && word.size() > 1) {
            misuse("unknown option '" + word + "'; plyctl --help lists those there are");
        } else {
            arguments.push_back(word);
        }
    }
    if (arguments.empty()) misuse("a command is missing; plyctl --help lists those there are");
    const auto words = arguments;
    out.command = find_command(arguments);
    if (!out.command) refuse_command(words);
    const std::string name(out.command->name);
    for (const std::string_view flag : flags) {
        if (!knows(*out.command, flag)) misuse(name + " has no option --" + std::string(flag));
    }
    if (arguments.size() < out.command->least || arguments.size() > out.command->most) {
        misuse("it is written: plyctl " + name + (out.command->words.empty() ? "" : " ") +
               std::string(out.command->words));
    }
    return out;
}

std::string help_text() {
    std::string out = "usage: plyctl [--json] COMMAND [WORDS]...\n\nCommands\n";
    for (const Command& command : kCommands) {
        out += fmt::format("  {:<32} {}\n", fmt::format("{} {}", command.name, command.words), command.help);
    }
    out += "\nOptions\n";
    for (const Flag& flag : kFlags) {
        const std::string left = fmt::format("--{}{}{}", flag.name, flag.value.empty() ? "" : "=", flag.value);
        out += fmt::format("  {:<33}{}\n", left, flag.help);
    }
    out += fmt::format("  {:<33}{}\n  {:<33}{}\n", "-h, --help", "show this help", "-V, --version", "show the version");
    out += "\nMOUNT is a mountpoint, or a path inside one. See plyctl(1).\n";
    return out;
}

}  // namespace plyfs::ctl

#include "app/command_line.h"

#include <unistd.h>

#include <boost/filesystem.hpp>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <optional>

#include "app/arguments.h"
#include "config/branch_spec.h"
#include "config/option_words.h"
#include "config/options.h"

namespace plyfs::app {
namespace {

using config::BadValue;
using config::Draft;

// What fuse-overlayfs does unless it is told otherwise.
void begin_drop_in(const Invocation& invocation, Draft& draft) {
    draft.config.drop_in = true;
    draft.config.subtype = "fuse-overlayfs";
    draft.config.log_level = log::Level::warn;  // one mount for each container: none is worth a line
    draft.config.fsname = "fuse-overlayfs";
    draft.config.kernel_options = {"noatime"};
    // Engines read layers through the mount, never with the kernel's overlayfs, which would have to be told of it.
    draft.config.layers.metacopy = true;
    for (const std::string& options : invocation.environment_options) {
        config::apply_words(draft, config::split_words(options));
    }
}

std::vector<config::OptionWord> read_option_strings(const Arguments& arguments, Draft& draft) {
    std::vector<config::OptionWord> words;
    for (const std::string& options : arguments.option_strings) {
        try {
            for (auto& word : config::split_words(options)) words.push_back(std::move(word));
        } catch (const BadValue& e) {
            draft.errors.push_back(std::string("-o: ") + e.what());
        }
    }
    return words;
}

// mount(8) says "rw" to its helpers wherever nobody said "ro", so that says nothing of what a file says.
void drop_unsaid(std::vector<config::OptionWord>& words) {
    if (!words.empty() && words[0].name == "rw") words.erase(words.begin());
}

std::string_view name_of(const config::OptionWord& word) {
    const auto match = config::find_option(word.name);
    return match ? match->option->name : std::string_view();
}

bool names_what_is_merged(const config::OptionWord& word) {
    constexpr std::string_view kNames[] = {"branches", "config", "datadir+", "lowerdir", "lowerdir+", "upperdir"};
    return std::find(std::begin(kNames), std::end(kNames), name_of(word)) != std::end(kNames);
}

// mount(8) makes a path of a name that is a directory's where it is called: of "pool" on /pool, in /, it makes "/pool".
// No mountpoint is its own branch, so that this one can be told from a branch.
std::string_view name_in(const std::vector<std::string>& words) {
    const std::string_view first = words.front();
    const bool made_path = words.size() == 2 && words[0] == words[1];
    return made_path ? first.substr(first.rfind('/') + 1) : first;
}

// NAME [MOUNTPOINT] with a file of that name says config=FILE. Where the file names the mountpoint, nothing is left of
// the words.
void take_named_file(const std::string& folder, Arguments& arguments, std::vector<config::OptionWord>& options,
                     Draft& draft) {
    auto& words = arguments.words;
    if (draft.config.drop_in || words.empty() || words.size() > 2) return;
    if (std::any_of(options.begin(), options.end(), names_what_is_merged)) return;
    const std::string name(name_in(words));
    const auto file = config::find_named_file(name, folder);
    if (!file) return;
    options.insert(options.begin(), {"config", *file});
    draft.config.fsname = words[0] = name;
    if (words.size() == 1) words.clear();
}

void take_branches(const std::string& word, Draft& draft) {
    try {
        if (!draft.branches) draft.branches.emplace();
        for (auto& branch : config::parse_branches(word, draft.base)) draft.branches->push_back(std::move(branch));
    } catch (const BadValue& e) {
        draft.errors.push_back("BRANCHES " + word + ": " + e.what());
    }
}

void take_mountpoint(const std::string& word, Draft& draft) {
    draft.mountpoint_told = true;
    try {
        std::string path = config::make_absolute(word, draft.base);
        if (!draft.config.mountpoint.empty() && draft.config.mountpoint != path) {
            draft.notices.push_back("option mountpoint has no effect: the mountpoint is the last word, " + path);
        }
        draft.config.mountpoint = std::move(path);
    } catch (const BadValue&) {
        draft.errors.push_back("the mountpoint is an empty word; name a directory");
    }
}

// The last word is the mountpoint. Those before it are lists of branches, unless options have named those: then there
// is one at most, which is only what mount(8) wants as a source, shown by df.
void apply_words(const std::vector<std::string>& words, Draft& draft) {
    if (draft.config.drop_in) {
        if (!words.empty()) take_mountpoint(words.back(), draft);
        return;
    }
    if (words.empty()) return;
    take_mountpoint(words.back(), draft);
    if (words.size() == 1) return;
    const std::vector<std::string> sources(words.begin(), words.end() - 1);
    const bool named = draft.branches || draft.lowerdirs || !draft.upperdir.empty();
    if (!named) {
        for (const std::string& word : sources) take_branches(word, draft);
    } else if (sources.size() > 1) {
        draft.errors.push_back("too many words at '" + sources[1] +
                               "'; options name what is merged, so one word before the mountpoint is left, for df");
    } else if (sources[0].find_first_of(":/") != std::string::npos) {
        draft.notices.push_back("the word " + sources[0] +
                                " names nothing to merge, options have done that; it is only what df shows");
    }
    std::string source = sources[0];
    for (std::size_t i = 1; i < sources.size(); ++i) source += ":" + sources[i];
    if (draft.config.fsname.empty() && source.size() <= config::kLongestSource) draft.config.fsname = source;
}

void drop_unknown(std::vector<config::OptionWord>& words, Draft& draft) {
    std::erase_if(words, [&](const config::OptionWord& word) {
        const bool unknown = !config::find_option(word.name);
        if (unknown) draft.notices.push_back("unknown option '" + word.name + "' ignored because of -s");
        return unknown;
    });
}

// Nothing is merged anew: of the words only the mountpoint matters.
Command remount_command(const Arguments& arguments, std::vector<config::OptionWord> options, Draft& draft) {
    if (arguments.read_only) options.push_back({*arguments.read_only ? "ro" : "rw", std::nullopt});
    Command command;
    command.action = arguments.fake ? Action::fake_remount : Action::remount;
    command.mount_namespace = arguments.mount_namespace;
    command.remount = sort_remount_words(options);
    draft.config.verbose = arguments.verbose;
    config::apply_each(draft, command.remount.of_kernel);
    if (arguments.sloppy) drop_unknown(command.remount.options, draft);
    if (arguments.words.empty()) {
        draft.errors.push_back("remount: no mountpoint; name it as the last word");
    } else {
        take_mountpoint(arguments.words.back(), draft);
        if (arguments.words.size() > 1) command.remount.source = arguments.words.front();
    }
    if (!draft.errors.empty()) throw config::Error(config::ExitCode::usage, draft.errors);
    command.config = std::move(draft.config);
    command.notices = std::move(draft.notices);
    return command;
}

}  // namespace

Invocation find_invocation(int argc, char** argv) {
    Invocation invocation;
    invocation.argv.assign(argv, argv + argc);
    boost::system::error_code fault;
    invocation.cwd = boost::filesystem::current_path(fault).string();
    // A deleted working directory matters only to relative paths, which then are not found.
    if (fault) invocation.cwd = "/";
    invocation.root = ::geteuid() == 0;
    if (std::getenv("FUSE_OVERLAYFS_DISABLE_OVL_WHITEOUT")) {
        invocation.environment_options.push_back("upper-format=aufs");
    }
    if (std::getenv("FUSE_OVERLAYFS_NO_PASSTHROUGH")) invocation.environment_options.push_back("passthrough=off");
    return invocation;
}

bool is_mount_helper(std::string_view program) {
    const std::string_view name = program.substr(program.rfind('/') + 1);
    return name == "mount.plyfs" || name == "mount.fuse.plyfs";
}

bool is_drop_in(std::string_view program) {
    const std::string_view name = program.substr(program.rfind('/') + 1);
    return name == "fuse-overlayfs" || name.starts_with("fuse-overlayfs-");
}

const char* program_name(const std::vector<std::string>& argv) {
    return !argv.empty() && is_drop_in(argv[0]) ? "fuse-overlayfs" : "plyfs";
}

Command parse_command_line(const Invocation& invocation) {
    Draft draft;
    draft.base = invocation.cwd;
    const std::string program = invocation.argv.empty() ? "" : invocation.argv[0];
    const Manner manner = is_mount_helper(program) ? Manner::helper
                          : is_drop_in(program)    ? Manner::drop_in
                                                   : Manner::person;
    Arguments arguments = read_arguments(invocation.argv, manner, draft.errors);
    Command command;
    command.mount_namespace = arguments.mount_namespace;
    if (arguments.help || arguments.version) {
        command.action = arguments.help ? Action::help : Action::version;
        return command;
    }
    if (manner == Manner::drop_in) begin_drop_in(invocation, draft);
    for (const auto& flag : arguments.ignored) draft.notices.push_back("unknown argument ignored: " + flag);
    command.action = arguments.fake ? Action::fake : Action::mount;
    draft.sloppy = arguments.sloppy;
    draft.config.verbose = arguments.verbose;
    auto options = read_option_strings(arguments, draft);
    if (manner == Manner::helper && is_remount(options)) return remount_command(arguments, options, draft);
    if (manner == Manner::helper) drop_unsaid(options);
    take_named_file(invocation.config_folder, arguments, options, draft);
    config::apply_words(draft, options);
    if (arguments.read_only) draft.config.read_only = *arguments.read_only;
    if (arguments.debug) draft.config.debug = true;
    apply_words(arguments.words, draft);
    if (draft.config.fsname.empty()) draft.config.fsname = "plyfs";
    draft.config.foreground = arguments.foreground;
    command.config = config::settle(draft, invocation.root);
    command.notices = std::move(draft.notices);
    return command;
}

}  // namespace plyfs::app

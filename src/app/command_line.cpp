#include "app/command_line.h"

#include <unistd.h>

#include <boost/filesystem.hpp>

#include <optional>

#include "app/arguments.h"
#include "config/branch_spec.h"
#include "config/option_words.h"
#include "config/options.h"

namespace plyfs::app {
namespace {

using config::BadValue;
using config::Draft;

// The kernel's newer mount interface takes no longer source than this.
constexpr std::size_t kLongestSource = 255;

void apply_option_strings(const Arguments& arguments, Draft& draft) {
    std::vector<config::OptionWord> words;
    for (const std::string& options : arguments.option_strings) {
        try {
            for (auto& word : config::split_words(options)) words.push_back(std::move(word));
        } catch (const BadValue& e) {
            draft.errors.push_back(std::string("-o: ") + e.what());
        }
    }
    config::apply_words(draft, words);
}

void take_branches(const std::string& word, Draft& draft) {
    try {
        draft.branches = config::parse_branches(word, draft.base);
    } catch (const BadValue& e) {
        draft.errors.push_back("BRANCHES " + word + ": " + e.what());
    }
}

void take_mountpoint(const std::string& word, Draft& draft) {
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

// The last word is the mountpoint. One before it is the list of branches, unless options have named those:
// then it is only what mount(8) wants as a source, shown by df.
void apply_words(const std::vector<std::string>& words, Draft& draft) {
    if (words.size() > 2) {
        draft.errors.push_back("too many words at '" + words[2] +
                               "'; write 'BRANCHES MOUNTPOINT', with ':' between the branches");
        return;
    }
    if (words.empty()) return;
    take_mountpoint(words.back(), draft);
    if (words.size() == 1) return;
    const bool named = draft.branches || draft.lowerdirs || !draft.upperdir.empty();
    if (!named) take_branches(words[0], draft);
    if (draft.config.fsname.empty() && words[0].size() <= kLongestSource) draft.config.fsname = words[0];
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
    return invocation;
}

bool is_mount_helper(std::string_view program) {
    const std::string_view name = program.substr(program.rfind('/') + 1);
    return name == "mount.plyfs" || name == "mount.fuse.plyfs";
}

Command parse_command_line(const Invocation& invocation) {
    Draft draft;
    draft.base = invocation.cwd;
    const bool helper = !invocation.argv.empty() && is_mount_helper(invocation.argv[0]);
    const Arguments arguments = read_arguments(invocation.argv, helper, draft.errors);
    Command command;
    command.verbose = arguments.verbose;
    command.mount_namespace = arguments.mount_namespace;
    if (arguments.help || arguments.version) {
        command.action = arguments.help ? Action::help : Action::version;
        return command;
    }
    command.action = arguments.fake ? Action::fake : Action::mount;
    draft.sloppy = arguments.sloppy;
    draft.verbose = arguments.verbose;
    apply_option_strings(arguments, draft);
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

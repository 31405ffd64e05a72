// get, set, reload: the options of a mount.
#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/config_save.h"
#include "ctl/failure.h"
#include "ctl/mounts.h"
#include "ctl/next_daemon.h"
#include "ctl/text.h"

namespace plyfs::ctl {
namespace {

std::string list_text(const Json& names) {
    std::string out;
    for (const Json& name : names.items()) out += (out.empty() ? "" : ", ") + shown(name);
    return out;
}

}  // namespace

int run_get(const Words& words) {
    const Mount mount = mount_of(words.arguments[0]);
    Json options = Json::object();
    const auto add = [&](const Json& request) {
        const Json answer = ask_any(mount, request);
        for (const auto& [name, value] : answer["options"].members()) options.add(name, value);
    };
    Json request;
    request.add("command", "get");
    if (words.arguments.size() == 1) add(request);
    for (std::size_t i = 1; i < words.arguments.size(); ++i) {
        Json one = request;
        add(one.add("option", words.arguments[i]));
    }
    if (words.json) {
        print_line(options);
        return 0;
    }
    // A single value by itself, for scripts.
    const bool single = words.arguments.size() == 2;
    for (const auto& [name, value] : options.members()) {
        print(single ? shown(value) + "\n" : shown(name) + "=" + shown(value) + "\n");
    }
    return 0;
}

int run_set(const Words& words) {
    const Mount mount = mount_of(words.arguments[0]);
    for (std::size_t i = 1; i < words.arguments.size(); ++i) {
        const std::string& word = words.arguments[i];
        if (word.find('=') == std::string::npos) {
            throw Failure("'" + word + "' says no value; write OPTION=VALUE", ExitCode::usage);
        }
    }
    const std::string file = words.save ? config_file_of(mount) : "";
    NamedValues options;
    for (std::size_t i = 1; i < words.arguments.size(); ++i) {
        const std::string& word = words.arguments[i];
        const std::size_t mark = word.find('=');
        options.emplace_back(word.substr(0, mark), word.substr(mark + 1));
        Json request;
        request.add("command", "set").add("option", options.back().first).add("value", options.back().second);
        const Json answer = ask_any(mount, request);
        if (words.json) print_line(answer);
    }
    if (words.save) save_options(mount, file, options);
    return 0;
}

int run_reload(const Words& words) {
    if (words.pid && !words.arguments.empty()) {
        throw Failure("MOUNT and --pid are two ways to say the same; leave one", ExitCode::usage);
    }
    Json request;
    request.add("command", "reload").add("force", words.force);
    for (const Mount& mount : words.pid ? std::vector{mount_served_by(*words.pid)} : mounts_named(words.arguments)) {
        const auto [takes_over, answer] = ask_for_change(mount, request);
        if (words.json) {
            print_line(answer);
            continue;
        }
        const std::string name = shown(mount.path);
        if (takes_over) {
            print(name + ": read again, with " + branches_text(answer) + " from now on\n");
            continue;
        }
        const std::string changed = list_text(answer["changed"]);
        print(name + ": " + (changed.empty() ? "nothing changed" : "changed: " + changed) + "\n");
        const std::string kept = list_text(answer["kept"]);
        if (!kept.empty()) print(name + ": not while it is mounted, unmount and mount it for: " + kept + "\n");
        const std::string overruled = list_text(answer["overruled"]);
        if (!overruled.empty()) {
            print(name + ": the command line of the mount goes before the file for: " + overruled + "\n");
        }
    }
    return 0;
}

}  // namespace plyfs::ctl

#include <fmt/format.h>

#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/mounts.h"
#include "ctl/text.h"

namespace plyfs::ctl {
namespace {

std::string io_text(const Json& io) {
    return io["mode"].text() == "passthrough"
               ? "by the kernel" + (io["why"].text().empty() ? "" : " (" + shown(io["why"]) + ")")
               : "by the daemon: " + shown(io["why"]);
}

std::string name_text(const Json& answer) {
    std::string out = "/" + shown(answer["path"]);
    if (!answer["seen"].is_true()) {
        out += ": nothing is seen of this name\n";
    } else {
        out += fmt::format(": {} answers\n", shown(answer["answers"]));
    }
    if (answer["content"].is_string()) {
        out += fmt::format("  its content is still on {} (metacopy)\n", shown(answer["content"]));
    }
    if (answer["read"].is_object()) {
        out += fmt::format("  read     {}\n  written  {}{}\n", io_text(answer["read"]),
                           answer["copied_up_first"].is_true() ? "after a copy-up, " : "", io_text(answer["write"]));
        out += fmt::format("  open     {} times by the kernel, {} by the daemon\n",
                           answer["opens_passthrough"].number(), answer["opens_daemon"].number());
    }
    std::vector<std::vector<std::string>> rows;
    for (const Json& on : answer["branches"].items()) {
        const std::string type = on["type"].text();
        const std::string what = type.empty()     ? ""
                                 : type == "file" ? "file of " + size_text(on["size"].number())
                                                  : type;
        rows.push_back({"  " + shown(on["branch"]), shown(on["part"]), what, shown(on["why"])});
    }
    return out + "\n" + table({"  BRANCH", "PART", "WHAT", "WHY"}, rows);
}

std::string new_text(const Json& answer) {
    const std::string name = "/" + shown(answer["path"]);
    std::string out;
    if (answer["exists"].is_true()) out += name + " is there already; of a new name in its place:\n";
    if (answer["refused"].is_string()) {
        out += fmt::format("{}: no branch would take it: {}\n", name, shown(answer["refused"]));
    } else {
        out += fmt::format("{}: would go to {}{}\n", name, shown(answer["goes_to"]),
                           answer["everywhere"].is_true() ? ", and to the others that are ranked" : "");
    }
    if (answer["policy"].is_string()) out += fmt::format("  policy   {}\n", shown(answer["policy"]));
    if (answer["rule"].is_string()) out += fmt::format("  rule     {}\n", shown(answer["rule"]));
    std::vector<std::vector<std::string>> rows;
    for (const Json& on : answer["branches"].items()) {
        const bool never = on["why"].is_string();
        rows.push_back({never ? "-" : std::to_string(on["rank"].number() + 1), shown(on["branch"]), shown(on["why"])});
    }
    return out + "\n" + table({">  RANK", "BRANCH", "WHY NOT"}, rows);
}

}  // namespace

int run_explain(const Words& words) {
    const InMount place = locate(words.arguments[0]);
    Json request;
    request.add("command", "explain").add("path", place.path);
    if (words.create) request.add("create", true);
    if (words.directory) request.add("directory", true);
    const Json answer = ask_any(place.mount, request);
    if (words.json) {
        print_line(answer);
    } else {
        print(words.create ? new_text(answer) : name_text(answer));
    }
    // As a command that looks for something: 1 when there is nothing.
    const bool found = words.create ? answer["goes_to"].is_string() : answer["seen"].is_true();
    return found ? 0 : 1;
}

}  // namespace plyfs::ctl

// check_plyctl MANUAL: every command and option of plyctl is described in its page, and nothing else is; so is every
// command of the control socket.
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>

#include "control/commands.h"
#include "ctl/command_line.h"

namespace {

using namespace plyfs;

int faults = 0;

void fault(const std::string& what) {
    std::cout << what << "\n";
    ++faults;
}

// What the items of a section begin with, as ".It Cm branch mode Ar mount" with that macro: "branch mode".
std::set<std::string> items_of(const std::string& page, const std::string& section, const std::string& macro) {
    std::set<std::string> out;
    const std::size_t begin = page.find(".Sh " + section + "\n");
    if (begin == std::string::npos) return out;
    std::istringstream lines(page.substr(begin, page.find("\n.Sh ", begin + 1) - begin));
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string it, kind, name, word;
        words >> it >> kind;
        if (it != ".It" || kind != macro) continue;
        while (words >> word && word != "Ar" && word != "Op" && word != "Oo" && word != "Ns" && word != "Cm") {
            if (macro == "Fl" && word == ",") {
                out.insert(name);
                name.clear();
                continue;
            }
            name += (name.empty() ? "" : " ") + word;
        }
        out.insert(name);
    }
    return out;
}

void compare(const std::string& what, const std::set<std::string>& known, const std::set<std::string>& described) {
    for (const auto& name : known) {
        if (!described.contains(name)) fault("manual: no description of " + what + " " + name);
    }
    for (const auto& name : described) {
        if (!known.contains(name)) fault("manual: describes " + what + " " + name + ", which there is not");
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::ifstream file(argc == 2 ? argv[1] : "");
    std::stringstream page;
    page << file.rdbuf();
    if (page.str().empty()) {
        std::cerr << "usage: check_plyctl MANUAL\n";
        return 2;
    }
    std::set<std::string> commands, flags{"h", "-help", "V", "-version"}, requests;
    for (const auto& command : ctl::command_table()) commands.emplace(command.name);
    for (const auto& flag : ctl::flag_table()) flags.insert("-" + std::string(flag.name));
    for (const auto& command : control::command_table()) requests.emplace(command.name);
    compare("command", commands, items_of(page.str(), "COMMANDS", "Cm"));
    compare("option", flags, items_of(page.str(), "OPTIONS", "Fl"));
    compare("request", requests, items_of(page.str(), "PROTOCOL", "Li"));
    if (faults == 0) std::cout << "plyctl and its page agree\n";
    return faults == 0 ? 0 : 1;
}

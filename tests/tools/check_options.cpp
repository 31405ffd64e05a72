// check_options MANUAL HELPER_MANUAL: the option table, --help and the manual's page tell the same. Every word of the
// table has its place in both, with its values and default; the page describes no option that there is not; the flags
// likewise, in the page of mount.plyfs those that mount helpers have.
#include <fstream>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "app/arguments.h"
#include "app/texts.h"
#include "config/options.h"
#include "control/live_options.h"

namespace {

using namespace plyfs;

int faults = 0;

void fault(const std::string& what) {
    std::cerr << what << '\n';
    ++faults;
}

std::vector<std::string> words_of(std::string_view text, char separator) {
    std::vector<std::string> out;
    std::istringstream in{std::string(text)};
    for (std::string word; std::getline(in, word, separator);) {
        if (!word.empty()) out.push_back(word);
    }
    return out;
}

std::vector<std::string> words_of(const config::Option& option) {
    std::vector<std::string> words = {std::string(option.name)};
    if (!option.negative.empty()) words.emplace_back(option.negative);
    for (auto& alias : words_of(option.aliases, ' ')) words.push_back(std::move(alias));
    return words;
}

// One ".It" of the page: its macros' words, and the text up to the next one, on one line.
struct Item {
    std::string macro;  // "Cm" or "Fl"
    std::set<std::string> words;
    std::string text;
};

Item read_heading(const std::string& line) {
    Item item;
    std::istringstream in(line.substr(4));
    in >> item.macro;
    bool value = false;  // what follows a '=' belongs to the value
    for (std::string word; in >> word;) {
        if (word == "=") value = true;
        if (word == "Ar") break;
        if (word != "Ns" && word != "Cm" && word != "," && word != "|" && !value) item.words.insert(word);
        if (value) item.text.append(word).append(" ");
    }
    return item;
}

std::vector<Item> read_items(std::istream& page) {
    std::vector<Item> items;
    bool open = false;
    for (std::string line; std::getline(page, line);) {
        if (line.starts_with(".It Cm ") || line.starts_with(".It Fl ")) {
            items.push_back(read_heading(line));
            open = true;
        } else if (line.starts_with(".It ") || line.starts_with(".El") || line.starts_with(".Sh") ||
                   line.starts_with(".Ss")) {
            open = false;
        } else if (open) {
            for (const auto& word : words_of(line, ' ')) {
                if (!word.starts_with('.') || word.size() != 3) items.back().text.append(word).append(" ");
            }
        }
    }
    return items;
}

void check_item(const config::Option& option, const Item& item) {
    const std::string name(option.name);
    for (const std::string& word : words_of(option)) {
        if (!item.words.contains(word)) fault("manual: " + name + " is described without its word " + word);
    }
    if (option.kind == config::Kind::words) {
        for (const std::string& word : words_of(option.values, '|')) {
            const std::string padded = " " + item.text;
            if (padded.find(" " + word + " ") == std::string::npos) {
                fault("manual: " + name + " is described without its value " + word);
            }
        }
    }
    const std::size_t fallback = item.text.find("Default");
    if (!option.fallback.empty() &&
        (fallback == std::string::npos || item.text.find(option.fallback, fallback) == std::string::npos)) {
        fault("manual: " + name + " is described without its default, " + std::string(option.fallback));
    }
}

// The OPTIONS section only: elsewhere Cm items are modes and policies.
std::vector<Item> options_section(const std::string& page) {
    const std::size_t begin = page.find(".Sh OPTIONS\n");
    const std::size_t end = page.find("\n.Sh ", begin + 1);
    if (begin == std::string::npos || end == std::string::npos) return {};
    std::istringstream section(page.substr(begin, end - begin));
    return read_items(section);
}

void check_manual_options(const std::string& page) {
    std::set<std::string> described;
    const auto items = options_section(page);
    for (const config::Option& option : config::option_table()) {
        bool found = false;
        for (const Item& item : items) {
            if (item.macro != "Cm" || !item.words.contains(std::string(option.name))) continue;
            found = true;
            check_item(option, item);
        }
        if (!found) fault("manual: no description of option " + std::string(option.name));
    }
    for (const Item& item : items) {
        for (const std::string& word : item.words) {
            if (!config::find_option(word)) fault("manual: describes " + word + ", which is no option");
            if (!described.insert(word).second) fault("manual: describes " + word + " twice");
        }
    }
}

// What the page says of options that can be set while it is mounted: all of them but the policies, by their names.
void check_live_options(const std::string& page) {
    const std::size_t begin = page.find("Root may set those that can be changed while it is mounted:");
    const std::size_t end = page.find("The error is", begin);
    if (begin == std::string::npos || end == std::string::npos) return fault("manual: no list of what can be set");
    std::istringstream list(page.substr(begin, end - begin));
    std::set<std::string> told;
    for (std::string word; list >> word;) told.insert(word);
    for (const config::Option& option : config::option_table()) {
        const std::string name(option.name);
        const bool live = control::is_live(option) && control::has_effect(option);
        if (live && option.kind != config::Kind::policy && !told.contains(name)) {
            fault("manual: does not say that " + name + " can be set while it is mounted");
        }
        if (!live && told.contains(name)) fault("manual: says that " + name + " can be set, which it can not");
    }
}

void check_manual_flags(const std::string& page, std::optional<app::Caller> never = std::nullopt) {
    std::istringstream all(page);
    std::multiset<std::string> described;
    for (const Item& item : read_items(all)) {
        if (item.macro == "Fl") described.insert(item.words.begin(), item.words.end());
    }
    std::multiset<std::string> known;
    for (const app::Flag& flag : app::flag_table()) {
        if (flag.caller == never) continue;
        known.insert(std::string(1, flag.letter));
        if (!flag.long_name.empty()) known.insert("-" + std::string(flag.long_name));
    }
    for (const std::string& word : known) {
        if (described.count(word) != known.count(word)) fault("manual: flag -" + word + " is not described as it is");
    }
    for (const std::string& word : described) {
        if (!known.contains(word)) fault("manual: describes -" + word + ", which is no flag");
    }
}

void check_help(const std::string& help) {
    for (const config::Option& option : config::option_table()) {
        for (const std::string& word : words_of(option)) {
            if (help.find(word) == std::string::npos) fault("--help: nothing about " + word);
        }
        const std::string fallback = "[" + std::string(option.fallback) + "]";
        if (!option.fallback.empty() && help.find(fallback) == std::string::npos) {
            fault("--help: no default for " + std::string(option.name));
        }
    }
    for (const app::Flag& flag : app::flag_table()) {
        if (help.find("\n  -" + std::string(1, flag.letter)) == std::string::npos) {
            fault(std::string("--help: nothing about -") + flag.letter);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<std::string> pages;
    for (int i = 1; i < argc; ++i) {
        std::ifstream file(argv[i]);
        std::stringstream page;
        page << file.rdbuf();
        pages.push_back(page.str());
    }
    if (pages.size() != 2 || pages[0].empty() || pages[1].empty()) {
        std::cerr << "usage: check_options MANUAL HELPER_MANUAL\n";
        return 2;
    }
    check_help(app::help_text());
    check_manual_options(pages[0]);
    check_live_options(pages[0]);
    check_manual_flags(pages[0]);
    check_manual_flags(pages[1], app::Caller::person);
    if (faults == 0) std::cout << "the option table, --help and the manual agree\n";
    return faults == 0 ? 0 : 1;
}

#include "ctl/command_line.h"

#include <doctest/doctest.h>

#include "ctl/failure.h"

using namespace plyfs::ctl;

namespace {

std::string fault_of(const std::vector<std::string>& argv) {
    try {
        parse(argv);
    } catch (const Failure& failure) {
        CHECK(failure.code() == ExitCode::usage);
        return failure.what();
    }
    return "";
}

}  // namespace

TEST_CASE("plyctl: commands, their options and words in any order") {
    const Parsed top = parse({"--json", "top", "--count=3", "/m", "--interval", "0.5"});
    REQUIRE(top.command);
    CHECK(top.command->name == "top");
    CHECK(top.words.json);
    CHECK(top.words.count == 3);
    CHECK(top.words.interval == 0.5);
    CHECK(top.words.arguments == std::vector<std::string>{"/m"});
    CHECK(parse({"branch", "mode", "/m", "/a", "nc"}).command->name == "branch mode");
    CHECK(parse({"config", "check", "--", "--json"}).words.arguments == std::vector<std::string>{"--json"});
    CHECK(parse({"explain", "--directory", "x"}).words.create);
    CHECK(parse({"--help"}).command == nullptr);
    CHECK(parse({"status", "-V"}).version);
}

TEST_CASE("plyctl: what is wrong is said in one line") {
    CHECK(fault_of({}) == "a command is missing; plyctl --help lists those there are");
    CHECK(fault_of({"stauts"}) == "unknown command 'stauts'; did you mean 'status'?");
    CHECK(fault_of({"frobnicate"}).find("--help") != std::string::npos);
    CHECK(fault_of({"branch"}) == "'branch' wants a second word: mode, add, remove");
    CHECK(fault_of({"branch", "paint"}) == "'branch' wants a second word: mode, add, remove");
    CHECK(fault_of({"config"}) == "'config' wants a second word: check");
    CHECK(fault_of({"status", "--color"}).find("unknown option '--color'") == 0);
    CHECK(fault_of({"status", "-x"}).find("unknown option '-x'") == 0);
    CHECK(fault_of({"status", "--create"}) == "status has no option --create");
    CHECK(fault_of({"status", "--json=1"}) == "--json takes no value");
    CHECK(fault_of({"top", "--count"}) == "--count wants a value after it: N");
    CHECK(fault_of({"top", "--count=0"}).find("--count=0") == 0);
    CHECK(fault_of({"top", "--interval=nan"}).find("--interval=nan") == 0);
    CHECK(fault_of({"explain"}) == "it is written: plyctl explain PATH");
    CHECK(fault_of({"list", "/m"}) == "it is written: plyctl list");
}

TEST_CASE("plyctl: --help has every command and option") {
    const std::string help = help_text();
    for (const Command& command : command_table()) CHECK(help.find("\n  " + std::string(command.name)) != help.npos);
    for (const Flag& flag : flag_table()) CHECK(help.find("\n  --" + std::string(flag.name)) != help.npos);
}

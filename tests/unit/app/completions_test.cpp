#include "app/completions.h"

#include <doctest/doctest.h>

#include "config/options.h"

using namespace plyfs;

TEST_CASE("completions: every option that does something is offered in each shell") {
    for (const char* shell : {"bash", "zsh", "fish"}) {
        CAPTURE(shell);
        const std::string text = app::completion_text(shell);
        for (const auto& option : config::option_table()) {
            if (option.kind == config::Kind::ignored || option.kind == config::Kind::rules) continue;
            CAPTURE(option.name);
            CHECK(text.find(option.name) != std::string::npos);
            if (!option.negative.empty()) CHECK(text.find(option.negative) != std::string::npos);
        }
        for (const char* value : {"mspmfs", "io_uring", "degraded"}) CHECK(text.find(value) != std::string::npos);
    }
    CHECK(app::completion_text("tcsh").empty());
}

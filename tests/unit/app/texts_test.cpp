#include "app/texts.h"

#include <doctest/doctest.h>

#include <sstream>

using namespace plyfs::app;

TEST_CASE("help: both forms, readable lines, defaults") {
    const std::string text = help_text();
    for (const char* part : {"BRANCHES... MOUNTPOINT", "lowerdir=DIR:...", "[pfrd]", "create=POLICY, category.create",
                             "noallow_other", "--version", "as mount.plyfs: "}) {
        CAPTURE(part);
        CHECK(text.find(part) != std::string::npos);
    }
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        CAPTURE(line);
        CHECK(line.size() <= 140);
        CHECK_FALSE(line.ends_with(' '));
    }
    CHECK(text.ends_with('\n'));
    CHECK(usage_text().ends_with('\n'));
    CHECK(help_text("fuse-overlayfs").starts_with("usage: fuse-overlayfs "));
}

TEST_CASE("version: one fact a line") {
    VersionFacts facts;
    facts.libfuse = "3.18.3";
    facts.transport = "devfuse";
    facts.transport_reason = "the kernel has enable_uring off";
    facts.passthrough = true;
    facts.stack_depth = "auto";
    const std::string text = version_text(facts);
    CHECK(text.starts_with("plyfs "));
    CHECK(text.find("\nlibfuse 3.18.3\ntransport devfuse (the kernel has enable_uring off)\n"
                    "passthrough offered\nstack depth auto\n") != std::string::npos);
    CHECK(version_text(facts, "fuse-overlayfs").starts_with("fuse-overlayfs: plyfs "));
    facts.passthrough = false;
    facts.passthrough_reason = "needs root";
    CHECK(version_text(facts).find("passthrough not offered (needs root)\n") != std::string::npos);
}

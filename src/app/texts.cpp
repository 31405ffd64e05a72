#include "app/texts.h"

#include <fmt/format.h>

#include "app/arguments.h"
#include "config/options.h"

namespace plyfs::app {
namespace {

constexpr std::string_view kForms =
    "usage: plyfs [-fd] [-o OPTIONS] BRANCHES... MOUNTPOINT\n"
    "       plyfs [-fd] -o lowerdir=DIR:...[,upperdir=DIR,workdir=DIR][,OPTIONS] [SOURCE] MOUNTPOINT\n";

constexpr std::string_view kDropInForm =
    "usage: fuse-overlayfs [-fd] -o lowerdir=DIR:...[,upperdir=DIR,workdir=DIR][,OPTIONS] [WORDS] MOUNTPOINT\n"
    "\nThis is plyfs under the name of fuse-overlayfs. WORDS before the mountpoint and unknown arguments are "
    "ignored.\n";

constexpr std::size_t kColumn = 34;

std::string row(const std::string& left, const std::string& right) {
    if (left.size() + 3 > kColumn) return fmt::format("  {}\n{:{}}{}\n", left, "", kColumn, right);
    return fmt::format("  {:{}}{}\n", left, kColumn - 2, right);
}

std::string flag_row(const Flag& flag) {
    std::string left = fmt::format("-{}", flag.letter);
    if (!flag.long_name.empty()) left += fmt::format(", --{}", flag.long_name);
    if (!flag.value.empty()) left += fmt::format(" {}", flag.value);
    const char* who = flag.caller == Caller::helper ? "as mount.plyfs: " : "";
    return row(left, fmt::format("{}{}", who, flag.help));
}

std::string option_words(const config::Option& option) {
    std::string words(option.name);
    if (!option.values.empty()) words += fmt::format("={}", option.values);
    if (!option.negative.empty()) words += fmt::format(", {}", option.negative);
    for (char c : option.aliases.empty() ? std::string() : " " + std::string(option.aliases)) {
        words += c == ' ' ? std::string(", ") : std::string(1, c);
    }
    return words;
}

std::string option_row(const config::Option& option) {
    std::string right(option.help);
    if (option.use == config::Use::pool) right += "; pools only";
    if (option.use == config::Use::layers) right += "; layers only";
    if (!option.fallback.empty()) right += fmt::format(" [{}]", option.fallback);
    return row(option_words(option), right);
}

}  // namespace

std::string usage_text() {
    return std::string(kForms) + "       plyfs --help explains the words; see also plyfs(8)\n";
}

std::string help_text(std::string_view program) {
    const bool drop_in = program != "plyfs";
    std::string text(drop_in ? kDropInForm : kForms);
    text += drop_in ? "\nFlags\n"
                    : "\nMerges directories into one tree. BRANCHES is DIR[=MODE[,MINFREE]]:..., where MODE is rw (the "
                      "default),\n"
                      "ro or nc (no new files). With lowerdir= the branches are layers, and SOURCE is only a name for "
                      "df.\n\nFlags\n";
    for (const Flag& flag : flag_table()) text += flag_row(flag);
    std::optional<config::Group> group;
    for (const config::Option& option : config::option_table()) {
        if (group != option.group) text += fmt::format("\n{}\n", config::group_title(option.group));
        group = option.group;
        text += option_row(option);
    }
    text += "\nThe default is in brackets. In names '-' and '_' are the same. See plyfs(8).\n";
    return text;
}

std::string version_text(const VersionFacts& facts, std::string_view program) {
    std::string text = program == "plyfs" ? "" : fmt::format("{}: ", program);
    text += fmt::format("plyfs {}\n", PLYFS_VERSION);
    text += fmt::format("libfuse {}\n", facts.libfuse);
    text += fmt::format("transport {} ({})\n", facts.transport, facts.transport_reason);
    text += fmt::format("passthrough {}", facts.passthrough ? "offered" : "not offered");
    if (!facts.passthrough_reason.empty()) text += fmt::format(" ({})", facts.passthrough_reason);
    text += fmt::format("\nstack depth {}\n", facts.stack_depth);
    return text;
}

}  // namespace plyfs::app

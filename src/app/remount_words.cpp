#include "app/remount_words.h"

#include <sys/mount.h>

#include <algorithm>
#include <iterator>
#include <string_view>

#include "config/error.h"
#include "config/options.h"

namespace plyfs::app {
namespace {

constexpr unsigned long kAccessTimes = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;

struct FlagRow {
    std::string_view word;
    unsigned long clear;
    unsigned long set;
};

// clang-format off
constexpr FlagRow kFlagRows[] = {
    {"ro",            0,             MS_RDONLY},
    {"rw",            MS_RDONLY,     0},
    {"nosuid",        0,             MS_NOSUID},
    {"suid",          MS_NOSUID,     0},
    {"nodev",         0,             MS_NODEV},
    {"dev",           MS_NODEV,      0},
    {"noexec",        0,             MS_NOEXEC},
    {"exec",          MS_NOEXEC,     0},
    {"nosymfollow",   0,             MS_NOSYMFOLLOW},
    {"symfollow",     MS_NOSYMFOLLOW, 0},
    {"noatime",       kAccessTimes,  MS_NOATIME},
    {"atime",         kAccessTimes,  MS_RELATIME},  // none of them would leave it as it is
    {"relatime",      kAccessTimes,  MS_RELATIME},
    {"norelatime",    MS_RELATIME,   0},
    {"strictatime",   kAccessTimes,  MS_STRICTATIME},
    {"nostrictatime", MS_STRICTATIME, 0},
    {"nodiratime",    0,             MS_NODIRATIME},
    {"diratime",      MS_NODIRATIME, 0},
    {"lazytime",      0,             0},  // these have no effect, which a notice says
    {"nolazytime",    0,             0},
    {"dirsync",       0,             0},
};
// clang-format on

// The kernel: fs/fuse/inode.c, fuse_show_options.
constexpr std::string_view kWrittenByKernel[] = {
    "user_id", "group_id", "default_permissions", "allow_other", "max_read", "blksize", "rootmode", "fd"};

bool is_written_by_kernel(std::string_view word) {
    return std::find(std::begin(kWrittenByKernel), std::end(kWrittenByKernel), word) != std::end(kWrittenByKernel);
}

// "noexec=false" is "exec".
std::string plain_word(const config::OptionWord& word) {
    if (!word.value) return word.name;
    const auto match = config::find_option(word.name);
    if (!match || match->option->kind != config::Kind::flag || match->option->negative.empty()) return {};
    try {
        const bool on = config::parse_bool(*word.value) != match->negative;
        return std::string(on ? match->option->name : match->option->negative);
    } catch (const config::BadValue&) {
        return {};  // for the daemon to refuse
    }
}

const FlagRow* find_flag(const config::OptionWord& word) {
    const std::string plain = plain_word(word);
    const auto* row =
        std::find_if(std::begin(kFlagRows), std::end(kFlagRows), [&](const FlagRow& one) { return one.word == plain; });
    return row == std::end(kFlagRows) ? nullptr : row;
}

bool is_for_mount(const config::OptionWord& word) {
    const auto match = config::find_option(word.name);
    return match && match->option->group == config::Group::fstab;
}

}  // namespace

bool is_remount(const std::vector<config::OptionWord>& words) {
    return std::any_of(words.begin(), words.end(), [](const auto& word) { return word.name == "remount"; });
}

unsigned long with_flag(unsigned long flags, const std::string& word) {
    // No word of a remount is this: the daemon has to write for it to have an effect.
    if (word == "sync") return flags | MS_SYNCHRONOUS;
    const FlagRow* row = find_flag({word, std::nullopt});
    return row ? (flags & ~row->clear) | row->set : flags;
}

RemountWords sort_remount_words(const std::vector<config::OptionWord>& words) {
    RemountWords out;
    for (const auto& word : words) {
        if (find_flag(word)) {
            out.flags = with_flag(out.flags, plain_word(word));
            out.of_kernel.push_back(word);
        } else if (!is_for_mount(word) && !is_written_by_kernel(word.name)) {
            out.options.push_back(word);
        }
    }
    return out;
}

}  // namespace plyfs::app

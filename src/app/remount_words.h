// What `mount -o remount` hands to its helper: the words of fstab, or of mountinfo where fstab has no line, with those
// of the command line after them.
#pragma once

#include <string>
#include <vector>

#include "config/option_words.h"

namespace plyfs::app {

struct RemountWords {
    unsigned long flags = 0;  // of mount(2): the mount is to have these, and no other but how it keeps access times
    std::vector<config::OptionWord> of_kernel;  // which say so
    std::string source;                         // the first word of fstab's line, or what mountinfo shows
    std::vector<config::OptionWord> options;    // for the daemon to compare with what it was given
};

// As the word says; none of mount(2)'s: as they were.
unsigned long with_flag(unsigned long flags, const std::string& word);
bool is_remount(const std::vector<config::OptionWord>& words);
// What mount(8) has acted on, and what the kernel writes into mountinfo by itself, is in neither.
RemountWords sort_remount_words(const std::vector<config::OptionWord>& words);

}  // namespace plyfs::app

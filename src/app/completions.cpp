#include "app/completions.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "app/arguments.h"
#include "config/config_file.h"
#include "config/options.h"
#include "config/policy_words.h"

namespace plyfs::app {
namespace {

using config::Kind;
using config::Option;

// What can stand after the '=' of an option.
struct Values {
    bool any = false;                // there is an '='
    bool directory = false;          // directories are looked for
    bool file = false;               // and files
    std::vector<std::string> words;  // these, if any
};

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t end = std::min(text.find('|', i), text.size());
        out.emplace_back(text.substr(i, end - i));
        i = end + 1;
    }
    return out;
}

Values values_of(const Option& option) {
    Values out;
    switch (option.kind) {
        case Kind::flag:
        case Kind::words:
            out.words = split(option.values);
            break;
        case Kind::policy:
            for (int i = 0; i < static_cast<int>(config::Policy::count_); ++i) {
                out.words.emplace_back(config::policy_name(static_cast<config::Policy>(i)));
            }
            break;
        case Kind::path:
            out.file = option.values == "FILE";
            out.directory = !out.file;
            break;
        case Kind::layers:
        case Kind::branches:
            out.directory = true;
            break;
        case Kind::count:
        case Kind::ignored:
            return out;
        default:
            break;
    }
    out.any = option.kind != Kind::flag || !out.words.empty();
    return out;
}

// Words that change nothing are taken, but nobody has to be shown them; rules have no form in -o.
bool is_offered(const Option& option) {
    const bool of_fstab = option.group == config::Group::fstab;
    return (option.kind != Kind::ignored || of_fstab) && option.kind != Kind::rules && !option.name.ends_with('*') &&
           option.name != "remount";
}

struct Word {
    std::string text;  // "create=", "ro"
    std::string help;
    Values values;
};

std::vector<Word> words() {
    std::vector<Word> out;
    for (const Option& option : config::option_table()) {
        if (!is_offered(option)) continue;
        const Values values = values_of(option);
        out.push_back({std::string(option.name) + (values.any ? "=" : ""), std::string(option.help), values});
        if (!option.negative.empty()) out.push_back({std::string(option.negative), std::string(option.help), {}});
    }
    return out;
}

std::string joined(const std::vector<std::string>& list, std::string_view separator) {
    return fmt::format("{}", fmt::join(list, separator));
}

std::string flag_words() {
    std::vector<std::string> out;
    for (const Flag& flag : flag_table()) {
        if (flag.caller == Caller::helper) continue;
        out.push_back(fmt::format("-{}", flag.letter));
        if (!flag.long_name.empty()) out.push_back(fmt::format("--{}", flag.long_name));
    }
    return joined(out, " ");
}

// A word in single quotes of a shell, in which nothing else has a meaning.
std::string without_quotes(std::string text) {
    std::erase(text, '\'');
    return text;
}

std::string bash() {
    std::vector<std::string> names;
    std::string cases;
    for (const Word& word : words()) {
        names.push_back(word.text);
        const std::string name = word.text.substr(0, word.text.find('='));
        if (!word.values.words.empty()) {
            cases += fmt::format("    {}) words='{}' ;;\n", name, joined(word.values.words, " "));
        } else if (word.values.directory || word.values.file) {
            cases += fmt::format("    {}) paths={} ;;\n", name, word.values.file ? "-f" : "-d");
        }
    }
    return fmt::format(
        R"(# Completion of plyfs(8) for bash; made from the table of its options.

# _plyfs_reply WORD REPLY...: what the word may become, less what is no part of the word for bash, which breaks words at
# more places than blanks.
_plyfs_reply() {{
  local whole=$1 breaks= kept=
  [[ $COMP_WORDBREAKS == *=* ]] && breaks+==
  [[ $COMP_WORDBREAKS == *:* ]] && breaks+=:
  [[ $breaks ]] && kept=${{whole%"${{whole##*[$breaks]}}"}}
  local reply
  for reply in "${{@:2}}"; do
    COMPREPLY+=("${{reply#"$kept"}}")
  done
}}

# _plyfs_paths -d|-f PREFIX PATH: what is in the file system, with the prefix before it.
_plyfs_paths() {{
  local found=()
  mapfile -t found < <(compgen "$1" -- "$3")
  compopt -o filenames 2>/dev/null
  _plyfs_reply "$2$3" "${{found[@]/#/"$2"}}"
}}

# _plyfs_option WORD: the last of the options with commas between.
_plyfs_option() {{
  local whole=$1 before item words= paths=
  item=${{whole##*,}}
  before=${{whole%"$item"}}
  compopt -o nospace 2>/dev/null
  if [[ $item != *=* ]]; then
    mapfile -t words < <(compgen -P "$before" -W '{names}' -- "$item")
    _plyfs_reply "$whole" "${{words[@]}}"
    return
  fi
  local value=${{item#*=}}
  case ${{item%%=*}} in
{cases}  esac
  before+=${{item%%=*}}=
  if [[ $paths ]]; then
    local last=${{value##*:}}
    _plyfs_paths "$paths" "$before${{value%"$last"}}" "$last"
  else
    mapfile -t words < <(compgen -P "$before" -W "$words" -- "$value")
    _plyfs_reply "$whole" "${{words[@]}}"
  fi
}}

_plyfs() {{
  local line=${{COMP_LINE:0:COMP_POINT}} word last previous
  COMPREPLY=()
  word=${{line##*[[:blank:]]}}
  previous=${{line%"$word"}}
  previous=${{previous%"${{previous##*[![:blank:]]}}"}}
  previous=${{previous##*[[:blank:]]}}
  if [[ $previous == -o || $previous == -[!-]*o ]]; then
    _plyfs_option "$word"
  elif [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W '{flags}' -- "$word")
  else
    last=${{word##*:}}
    _plyfs_paths -d "${{word%"$last"}}" "$last"
    local file
    for file in {folder}/"$word"*.yaml; do
      [[ -e $file && $word != */* ]] || continue
      file=${{file##*/}}
      COMPREPLY+=("${{file%.yaml}}")
    done
  fi
}}

complete -F _plyfs plyfs mount.plyfs mount.fuse.plyfs
)",
        fmt::arg("names", joined(names, " ")), fmt::arg("cases", cases), fmt::arg("flags", flag_words()),
        fmt::arg("folder", config::kConfigFolder));
}

// In _values' specifications these end the name or the explanation.
std::string zsh_text(std::string_view text) {
    std::string out;
    for (const char c : without_quotes(std::string(text))) {
        if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
        out += c;
    }
    return out;
}

std::string zsh() {
    std::string options;
    for (const Word& word : words()) {
        const std::string name = word.text.substr(0, word.text.find('='));
        std::string tail;
        if (!word.values.words.empty()) {
            tail = fmt::format(":{}:({})", zsh_text(name), joined(word.values.words, " "));
        } else if (word.values.directory || word.values.file) {
            tail = fmt::format(":{}:_files{}", zsh_text(name), word.values.file ? "" : " -/");
        } else if (word.values.any) {
            tail = fmt::format(":{}: ", zsh_text(name));
        }
        options += fmt::format("    '{}[{}]{}'\n", name, zsh_text(word.help), tail);
    }
    std::string flags;
    for (const Flag& flag : flag_table()) {
        if (flag.caller == Caller::helper || flag.letter == 'o') continue;
        const std::string tail = flag.value.empty() ? "" : fmt::format(":{}: ", zsh_text(flag.value));
        flags += fmt::format("    '-{}[{}]{}' \\\n", flag.letter, zsh_text(flag.help), tail);
        if (!flag.long_name.empty()) {
            flags += fmt::format("    '--{}[{}]{}' \\\n", flag.long_name, zsh_text(flag.help), tail);
        }
    }
    return fmt::format(R"(#compdef plyfs mount.plyfs mount.fuse.plyfs
# Completion of plyfs(8) for zsh; made from the table of its options.

_plyfs_options() {{
  local -a options
  options=(
{options}  )
  _values -s , 'options of plyfs' $options
}}

_plyfs_sources() {{
  local -a files
  files=({folder}/*.yaml(N:t:r))
  _alternative 'files:configuration file:compadd -a files' 'branches:branches:_sequence -s : _files -/'
}}

_plyfs() {{
  _arguments -s \
    '*-o[options, with commas between]:options:_plyfs_options' \
{flags}    '1:branches:_plyfs_sources' \
    '*:directory:_files -/'
}}

_plyfs "$@"
)",
                       fmt::arg("options", options), fmt::arg("flags", flags),
                       fmt::arg("folder", config::kConfigFolder));
}

std::string fish() {
    std::string options;
    for (const Word& word : words()) {
        const std::string help = without_quotes(word.help);
        if (word.values.words.empty()) {
            options += fmt::format("    printf '%s\\t%s\\n' $before'{}' '{}'\n", word.text, help);
            continue;
        }
        for (const std::string& value : word.values.words) {
            options += fmt::format("    printf '%s\\t%s\\n' $before'{}{}' '{}'\n", word.text, value, help);
        }
    }
    std::string flags;
    for (const Flag& flag : flag_table()) {
        if (flag.caller == Caller::helper || flag.letter == 'o') continue;
        const std::string name = flag.long_name.empty() ? "" : fmt::format(" -l {}", flag.long_name);
        flags += fmt::format("complete -c plyfs -s {}{}{} -d '{}'\n", flag.letter, name,
                             flag.value.empty() ? "" : " -x", without_quotes(std::string(flag.help)));
    }
    return fmt::format(R"(# Completion of plyfs(8) for fish; made from the table of its options.

function __plyfs_options
    # What is complete already, up to the last comma.
    set -l before (string replace -r '[^,]*$' '' -- (commandline -ct))
    test -n "$before"; or set before ''
{options}end

function __plyfs_files
    for file in {folder}/*.yaml
        string replace -r '.*/(.*)\.yaml$' '$1' -- $file
    end
end

complete -c plyfs -f
complete -c plyfs -s o -x -a '(__plyfs_options)' -d 'options, with commas between'
{flags}complete -c plyfs -a '(__plyfs_files)' -d 'configuration file'
complete -c plyfs -a '(__fish_complete_directories)'
)",
                       fmt::arg("options", options), fmt::arg("flags", flags),
                       fmt::arg("folder", config::kConfigFolder));
}

}  // namespace

std::string completion_text(std::string_view shell) {
    if (shell == "bash") return bash();
    if (shell == "zsh") return zsh();
    if (shell == "fish") return fish();
    return {};
}

}  // namespace plyfs::app

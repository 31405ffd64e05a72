#include "config/option_words.h"

#include "config/config_file.h"
#include "config/error.h"
#include "config/options.h"

namespace plyfs::config {
namespace {

// One word, from i on; i is left behind the comma that ends it.
std::string take_word(std::string_view options, std::size_t& i) {
    std::string word;
    bool in_quotes = false;
    bool has_value = false;
    bool value_begins = false;  // only there does a quote mean anything: names may hold some
    for (; i < options.size(); ++i) {
        const char c = options[i];
        if (c == '\\' && i + 1 < options.size()) {
            ++i;
            if (options[i] != ',') word += '\\';
            word += options[i];
        } else if (c == '"' && (in_quotes || value_begins)) {
            in_quotes = !in_quotes;
        } else if (c == ',' && !in_quotes) {
            ++i;
            return word;
        } else {
            word += c;
        }
        value_begins = c == '=' && !has_value;
        has_value = has_value || c == '=';
    }
    if (in_quotes) throw BadValue("a double quote is not closed in '" + word + "'; add the closing one");
    return word;
}

void apply_word(Draft& draft, const OptionWord& word) {
    const auto match = find_option(word.name);
    if (!match) {
        if (draft.config.drop_in) {
            draft.notices.push_back("unknown argument ignored: " + word.name + (word.value ? "=" + *word.value : ""));
        } else if (draft.sloppy) {
            draft.notices.push_back("unknown option '" + word.name + "' ignored because of -s");
        } else {
            draft.errors.push_back(unknown_option(word.name));
        }
        return;
    }
    try {
        apply_option(draft, *match, word.value, Written::in_words);
    } catch (const BadValue& e) {
        draft.errors.push_back("option " + word.name + ": " + e.what());
    }
}

}  // namespace

std::vector<OptionWord> split_words(std::string_view options) {
    std::vector<OptionWord> words;
    for (std::size_t i = 0; i < options.size();) {
        const std::string word = take_word(options, i);
        if (word.empty()) continue;
        const std::size_t mark = word.find('=');
        OptionWord out{word.substr(0, mark), std::nullopt};
        if (mark != std::string::npos) out.value = word.substr(mark + 1);
        words.push_back(std::move(out));
    }
    return words;
}

void apply_each(Draft& draft, const std::vector<OptionWord>& words) {
    for (const OptionWord& word : words) apply_word(draft, word);
}

void apply_words(Draft& draft, const std::vector<OptionWord>& words) {
    for (const OptionWord& word : words) {
        const auto match = find_option(word.name);
        if (match && match->option->name == "config") apply_word(draft, word);
    }
    if (!draft.config_file.empty()) read_config_file(draft.config_file, draft);
    for (const OptionWord& word : words) {
        const auto match = find_option(word.name);
        if (!match || match->option->name != "config") apply_word(draft, word);
    }
}

}  // namespace plyfs::config

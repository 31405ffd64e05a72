#include "config/yaml.h"

#include <cctype>
#include <optional>
#include <set>
#include <sstream>
#include <string>

#include <yaml-cpp/yaml.h>

#include "config/branch_spec.h"
#include "config/error.h"
#include "config/options.h"
#include "config/policy_words.h"
#include "config/value.h"

namespace plyfs::config {
namespace {

bool has_nul(const YAML::Node& node) {
    if (node.IsScalar()) return node.Scalar().find('\0') != std::string::npos;
    for (const auto& part : node) {
        if (node.IsMap() ? has_nul(part.first) || has_nul(part.second) : has_nul(part)) return true;
    }
    return false;
}

// Reads one document into a draft; knows the file's name for messages.
class Reader {
  public:
    Reader(const std::string& name, Draft& draft) : name_(name), draft_(draft) {}

    void read(const YAML::Node& root) {
        if (root.IsNull()) return;
        if (!root.IsMap()) return fault(root.Mark(), "", "the file must be a map of options: 'name: value' lines");
        std::set<const Option*> seen;
        for (const auto& entry : root) read_entry(entry.first, entry.second, seen);
    }

    void fault(const YAML::Mark& mark, const std::string& key, const std::string& what) {
        draft_.errors.push_back(place_of(mark) + ": " + (key.empty() ? "" : key + ": ") + what);
    }

  private:
    std::string place_of(const YAML::Mark& mark) const {
        if (mark.is_null()) return name_;
        return name_ + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1);
    }

    void read_entry(const YAML::Node& key, const YAML::Node& node, std::set<const Option*>& seen) {
        if (!key.IsScalar()) return fault(key.Mark(), "", "a key must be the name of an option");
        const std::string& name = key.Scalar();
        const auto match = find_option(name);
        if (!match) return fault(key.Mark(), "", unknown_option(name));
        if (match->option->name == "config") return fault(key.Mark(), name, "a file can not name another one");
        if (!seen.insert(match->option).second) return fault(key.Mark(), name, "set twice; leave one of them");
        if (has_nul(node)) return fault(node.Mark(), name, "a NUL byte can not be in a value");
        try {
            read_value(name, *match, node);
            draft_.places[std::string(match->option->name)] = place_of(key.Mark());
        } catch (const BadValue& e) {
            fault(node.IsNull() ? key.Mark() : node.Mark(), name, e.what());
        }
    }

    void read_value(const std::string& name, const Match& match, const YAML::Node& node) {
        const Kind kind = match.option->kind;
        if (kind == Kind::branches && node.IsSequence()) {
            Value value;
            for (const auto& item : node) add_branch(name, item, value);
            return set_option(draft_, match, std::move(value), YAML::Dump(node));
        }
        if (kind == Kind::rules && node.IsSequence()) {
            Value value;
            for (const auto& item : node) add_rule(name, item, value);
            return set_option(draft_, match, std::move(value), YAML::Dump(node));
        }
        if (kind == Kind::rules) throw BadValue("a list of rules is wanted here, each a map of conditions and places");
        if (kind == Kind::layers && node.IsSequence()) {
            Value value;
            for (const auto& item : node) add_path(name, item, value);
            return set_option(draft_, match, std::move(value), YAML::Dump(node));
        }
        // lowerdir+ and datadir+ append, so a list of them is one after the other.
        if (kind == Kind::path && match.option->name.ends_with('+') && node.IsSequence()) {
            for (const auto& item : node) {
                item_of(name, item, [&] {
                    if (!item.IsScalar()) throw BadValue("a directory is wanted here");
                    apply_option(draft_, match, item.Scalar(), Written::in_yaml);
                });
            }
            return;
        }
        if (node.IsNull()) throw BadValue("a value is missing");
        if (!node.IsScalar()) throw BadValue("one value is wanted here, not a list or a map");
        apply_option(draft_, match, node.Scalar(), Written::in_yaml);
    }

    // Faults of one item are told with that item's place, and the others are still read.
    template <typename F>
    void item_of(const std::string& name, const YAML::Node& item, F read) {
        try {
            read();
        } catch (const BadValue& e) {
            fault(item.Mark(), name, e.what());
        }
    }

    void add_path(const std::string& name, const YAML::Node& item, Value& value) {
        item_of(name, item, [&] {
            if (!item.IsScalar()) throw BadValue("a directory is wanted here");
            value.paths.push_back(make_absolute(item.Scalar(), draft_.base));
        });
    }

    void add_branch(const std::string& name, const YAML::Node& item, Value& value) {
        item_of(name, item, [&] {
            if (item.IsScalar()) {
                value.branches.push_back(parse_branch(item.Scalar(), draft_.base));
            } else if (item.IsMap()) {
                value.branches.push_back(branch_of_map(item));
            } else {
                throw BadValue("a branch is 'DIR=MODE,MINFREE' or {path: DIR, mode: MODE, minfreespace: SIZE}");
            }
        });
    }

    BranchSpec branch_of_map(const YAML::Node& item) {
        BranchSpec spec;
        for (const auto& [key, value] : scalars_of(item, "a branch")) {
            if (key == "path") {
                spec.written = value;
                set_branch_path(spec, value, draft_.base, false);
            } else if (key == "mode") {
                spec.mode = parse_mode(value);
            } else if (key == "minfreespace") {
                spec.min_free = parse_min_free(value);
            } else {
                throw BadValue("a branch has no '" + key + "'; it has path, mode and minfreespace");
            }
        }
        if (spec.path.empty()) throw BadValue("a branch has no path; add 'path: DIR'");
        return spec;
    }

    void add_rule(const std::string& name, const YAML::Node& item, Value& value) {
        item_of(name, item, [&] {
            if (!item.IsMap()) throw BadValue("a rule is a map, such as {path: /media, policy: mfs}");
            PlacementRule rule = rule_of_map(item);
            rule.place = place_of(item.Mark());
            value.rules.push_back(std::move(rule));
        });
    }

    PlacementRule rule_of_map(const YAML::Node& item) {
        PlacementRule rule;
        for (const auto& entry : item) {
            if (entry.first.IsScalar() && entry.first.Scalar() == "branches") add_members(entry.second, rule);
        }
        for (const auto& [key, value] : scalars_of(item, "a rule", "branches")) {
            if (key == "path") {
                if (!value.starts_with('/')) throw BadValue("path of a rule begins at the mount's root, with a '/'");
                rule.path = value.size() > 1 && value.ends_with('/') ? value.substr(0, value.size() - 1) : value;
            } else if (key == "name") {
                rule.name = value;
            } else if (key == "uid") {
                rule.uid = parse_id(value);
            } else if (key == "gid") {
                rule.gid = parse_id(value);
            } else if (key == "policy") {
                rule.policy = parse_create_policy(value);
            } else {
                throw BadValue("a rule has no '" + key + "'; it has path, name, uid, gid, branches and policy");
            }
        }
        if (rule.path.empty() && rule.name.empty() && !rule.uid && !rule.gid) {
            throw BadValue("a rule has no condition; add path, name, uid or gid");
        }
        if (rule.branches.empty() && !rule.policy) throw BadValue("a rule says nothing; add branches or policy");
        return rule;
    }

    void add_members(const YAML::Node& node, PlacementRule& rule) {
        if (!node.IsSequence() || node.size() == 0) throw BadValue("'branches' of a rule wants a list of directories");
        for (const auto& item : node) {
            if (!item.IsScalar()) throw BadValue("'branches' of a rule wants a list of directories");
            rule.branches.push_back(make_absolute(item.Scalar(), draft_.base));
        }
    }

    // The entries of a map whose values are scalars; but one that is read in another way.
    static std::vector<std::pair<std::string, std::string>> scalars_of(const YAML::Node& map, const std::string& whose,
                                                                       std::string_view but = {}) {
        std::vector<std::pair<std::string, std::string>> out;
        for (const auto& entry : map) {
            const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
            if (!but.empty() && key == but) continue;
            const bool empty = entry.second.IsNull() || (entry.second.IsScalar() && entry.second.Scalar().empty());
            if (!entry.second.IsScalar() || empty) throw BadValue("'" + key + "' of " + whose + " wants one value");
            for (const auto& had : out) {
                if (had.first == key) throw BadValue("'" + key + "' of " + whose + " is set twice; leave one of them");
            }
            out.emplace_back(key, entry.second.Scalar());
        }
        return out;
    }

    const std::string& name_;
    Draft& draft_;
};

// yaml-cpp loads the first one; asked for all it never ends with some texts.
std::optional<YAML::Mark> find_second_document(const std::string& text) {
    bool content = false;
    YAML::Mark at;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line); ++at.line) {
        const bool begins =
            line.starts_with("---") && (line.size() == 3 || std::isspace(static_cast<unsigned char>(line[3])) != 0);
        if (begins && content) return at;
        const std::size_t first = line.find_first_not_of(" \t\r");
        content = content || begins || (first != std::string::npos && line[first] != '#' && line[0] != '%');
    }
    return std::nullopt;
}

}  // namespace

void read_yaml_text(const std::string& text, const std::string& name, Draft& draft) {
    Reader reader(name, draft);
    try {
        reader.read(YAML::Load(text));
        if (const auto second = find_second_document(text)) {
            reader.fault(*second, "", "a second document begins here; write one");
        }
    } catch (const YAML::Exception& e) {
        reader.fault(e.mark, "", e.msg);
    }
}

}  // namespace plyfs::config

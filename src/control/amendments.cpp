#include "control/amendments.h"

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "config/branch_spec.h"
#include "config/error.h"
#include "config/options.h"
#include "config/validate.h"
#include "control/live_options.h"

namespace plyfs::control {
namespace {

Json branch_json(const config::BranchSpec& branch) {
    Json out;
    out.add("path", branch.path).add("mode", config::mode_name(branch.mode));
    if (branch.min_free && branch.min_free->bytes) out.add("free", *branch.min_free->bytes);
    if (branch.min_free && branch.min_free->share) out.add("share", *branch.min_free->share);
    if (branch.missing) out.add("missing", true);
    if (branch.mount_root) out.add("mount_root", true);
    return out;
}

config::BranchSpec branch_of(const Json& json) {
    config::BranchSpec branch;
    branch.path = branch.written = json["path"].text();
    branch.mode = config::parse_mode(json["mode"].text());
    const bool bytes = !json["free"].is_nothing(), share = !json["share"].is_nothing();
    if (bytes || share) branch.min_free.emplace();
    if (bytes) branch.min_free->bytes = json["free"].number();
    if (share) branch.min_free->share = json["share"].real();
    branch.missing = json["missing"].is_true();
    branch.mount_root = json["mount_root"].is_true();
    return branch;
}

void read_again(config::Config& config, const std::function<ReadAgain()>& read_config) {
    const ReadAgain again = read_config();
    for (const auto& fault : again.faults) log::warn("the configuration can not be read again: {}", fault);
    if (!again.config) return;
    for (const config::Option& option : config::option_table()) {
        if (is_live(option)) take_live(option, *again.config, config);
        if (is_live(option) || option.name == "branches") take_written(option, *again.config, config);
    }
}

}  // namespace

void Amendments::set_option(std::string_view name, std::string_view value) {
    std::erase_if(options, [&](const auto& option) { return option.first == name; });
    options.emplace_back(name, value);
}

std::string Amendments::write() const {
    Json out = Json::object();
    if (branches) {
        Json list = Json::array();
        for (const auto& branch : *branches) list.push(branch_json(branch));
        out.add("branches", std::move(list));
    }
    if (!mountpoint.empty()) out.add("mountpoint", mountpoint);
    if (read_only) out.add("read_only", true);
    if (reloaded) out.add("reloaded", true);
    if (!options.empty()) {
        Json list = Json::array();
        for (const auto& [name, value] : options) {
            Json pair = Json::array();
            pair.push(name);
            pair.push(value);
            list.push(std::move(pair));
        }
        out.add("options", std::move(list));
    }
    return out.write();
}

Amendments read_amendments(std::string_view text) {
    Amendments out;
    std::string fault;
    const auto json = text.empty() ? std::nullopt : Json::read(text, fault);
    if (!json) return out;
    if ((*json)["branches"].is_array()) {
        out.branches.emplace();
        for (const Json& branch : (*json)["branches"].items()) out.branches->push_back(branch_of(branch));
    }
    out.mountpoint = (*json)["mountpoint"].text();
    out.read_only = (*json)["read_only"].is_true();
    out.reloaded = (*json)["reloaded"].is_true();
    for (const Json& option : (*json)["options"].items()) {
        out.options.emplace_back(option.items()[0].text(), option.items()[1].text());
    }
    return out;
}

void amend(config::Config& config, const Amendments& amendments, const std::function<ReadAgain()>& read_config) {
    if (!amendments.mountpoint.empty()) config.mountpoint = config.pool.mountpoint = amendments.mountpoint;
    config.read_only = config.read_only || amendments.read_only;
    if (amendments.branches) config.branches = *amendments.branches;
    if (amendments.reloaded) read_again(config, read_config);
    for (const auto& [name, value] : amendments.options) {
        try {
            set_live(config, *config::find_option(name), value);
        } catch (const config::BadValue& e) {
            log::warn("{}={} is not set any more: {}", name, value, e.what());
        }
    }
    for (const auto& fault : config::find_rule_members(config.pool.rules, config.branches)) log::warn("{}", fault);
}

}  // namespace plyfs::control

#include "control/commands.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "config/branch_spec.h"
#include "config/error.h"
#include "config/options.h"
#include "config/validate.h"
#include "control/branch_change.h"
#include "control/explain.h"
#include "ops/relocate.h"

namespace plyfs::control {
namespace {

Json answer() {
    Json out;
    out.add("ok", true);
    return out;
}

Json merged(Json out, const Json& more) {
    for (const auto& [key, value] : more.members()) out.add(key, value);
    return out;
}

Json run_status(const Call& call) {
    const auto config = call.mount.options.config();
    const BranchSet& set = call.mount.ctx.tree.set();
    // Of pools somebody keeps the spaces fresh.
    if (config.layered && set.any_writable() && !set.at(0).is_late()) set.at(0).refresh_space();
    Json out = merged(answer(), status_json(call.mount.ctx, call.mount.facts, config));
    return std::move(out.add("can_be_followed", bool(call.mount.hand_over)));
}

Json run_counters(const Call& call) {
    return merged(answer(), counters_json(call.mount.ctx, call.mount.requests));
}

std::string why_untold(const std::string& name, bool layered) {
    const auto match = config::find_option(name);
    if (!match) return config::unknown_option(name);
    const config::Option& option = *match->option;
    std::string why = "its value is not told; get without a name lists those that are";
    if (option.use == config::Use::pool && layered) why = "it is about pools, and these are layers";
    if (option.use == config::Use::layers && !layered) why = "it is about layers, and this is a pool";
    if (option.kind == config::Kind::ignored) why = "it has no effect";
    if (option.name == "timeout") why = "it sets entry_timeout, attr_timeout and negative_timeout; ask for these";
    return "option " + name + ": " + why;
}

Json run_get(const Call& call) {
    Json options = Json::object();
    if (!call.request["option"].is_string()) {
        for (const auto& [name, value] : call.mount.options.values()) options.add(std::string(name), value);
        return std::move(answer().add("options", std::move(options)));
    }
    const std::string& name = call.request["option"].text();
    const auto value = call.mount.options.value(name);
    if (!value) return refusal(why_untold(name, call.mount.options.config().layered));
    options.add(name, *value);
    return std::move(answer().add("options", std::move(options)));
}

Json run_set(const Call& call) {
    const std::string& name = call.request["option"].text();
    if (name.empty() || !call.request["value"].is_string())
        return refusal("set wants an option and a value, both texts");
    std::string why;
    const auto set = call.mount.options.change(call.mount.ctx, name, call.request["value"].text(), why);
    if (set) return answer();
    return refusal(set.failed_with(ENODATA) ? why : "option " + name + ": " + why);
}

Json names_json(const std::vector<std::string>& names) {
    Json out = Json::array();
    for (const auto& name : names) out.push(name);
    return out;
}

// several: what is said of more than one.
Json faults_json(fmt::format_string<std::size_t> several, const std::vector<std::string>& faults) {
    Json out = refusal(faults.size() == 1 ? faults[0] : fmt::format(several, faults.size()));
    return std::move(out.add("faults", names_json(faults)));
}

Branch* find_branch(const Call& call, const std::string& path) {
    for (const auto& branch : call.mount.ctx.tree.set().all()) {
        if (branch->path() == path) return branch.get();
    }
    return nullptr;
}

Json no_branch(const std::string& path) {
    return refusal("'" + path + "' is no branch of this mount; status lists those there are");
}

std::vector<std::string> texts(const Json& list) {
    std::vector<std::string> out;
    for (const Json& one : list.items()) out.push_back(one.text());
    return out;
}

// Once it is answered this daemon leaves, and the one after it is to be asked.
Json hand_over(const Call& call, const Succession& plan) {
    const std::string why = call.cancelled() ? "nobody waits for it any more" : call.mount.hand_over(plan);
    if (why.empty()) return std::move(answer().add("takes_over", true).add("takeovers", call.mount.facts.takeovers));
    Json out = refusal(why);
    return std::move(out.add("busy", why == kAnotherChange));
}

template <typename Change>
Json change_branches(const Call& call, Change change) {
    if (!call.mount.hand_over) return refusal(why_none_follows(call.mount.facts, call.mount.options.config()));
    try {
        const auto config = call.mount.options.config();
        return hand_over(call, plan_succession(config, call.mount.ctx.tree.set(), change(config.branches),
                                               call.mount.options.amendments(), call.request["force"].is_true()));
    } catch (const config::BadValue& e) {
        return refusal(e.what());
    } catch (const config::Error& e) {
        return faults_json("nothing is changed, the branches would have {} faults", e.messages());
    }
}

// Where the configuration says other branches by now, or a pattern of it fits others: the next daemon has them, and
// everything else that it says.
std::optional<Succession> reload_branches(const Call& call, ReadAgain& again) {
    auto config = call.mount.options.config();
    if (!again.config || !call.mount.hand_over || config.layered) return std::nullopt;
    config.pool.rules = again.config->pool.rules;
    Amendments fresh = call.mount.options.amendments();
    fresh.reloaded = true;
    fresh.options.clear();
    try {
        auto plan = plan_succession(config, call.mount.ctx.tree.set(), again.config->branches, fresh,
                                    call.request["force"].is_true());
        if (!same_branches(*plan.amendments.branches, config.branches)) return plan;
    } catch (const config::BadValue& e) {
        again.faults.push_back(e.what());
    } catch (const config::Error& e) {
        again.faults = e.messages();
    }
    return std::nullopt;
}

Json run_reload(const Call& call) {
    if (!call.mount.read_config) return refusal("this mount's configuration can not be read again");
    ReadAgain again = call.mount.read_config();
    if (const auto plan = reload_branches(call, again)) return hand_over(call, *plan);
    if (again.config && again.faults.empty()) {
        const auto config = call.mount.options.config();
        for (auto& fault : config::find_rule_members(again.config->pool.rules, config.branches)) {
            again.faults.push_back(std::move(fault));
        }
    }
    if (!again.faults.empty()) return faults_json("nothing is changed, the configuration has {} faults", again.faults);
    const auto done = call.mount.options.reload(call.mount.ctx, std::move(*again.config));
    return std::move(answer()
                         .add("changed", names_json(done.changed))
                         .add("kept", names_json(done.kept))
                         .add("overruled", names_json(done.overruled)));
}

constexpr std::string_view kReadOnly = "it is mounted read-only, nothing is changed on its branches; mount it writable";

config::OptionWord word_of(const std::string& written) {
    const std::size_t mark = written.find('=');
    if (mark == std::string::npos) return {written, std::nullopt};
    return {written.substr(0, mark), written.substr(mark + 1)};
}

// The first word of fstab's line was one when the mount was made as well, unless it was too long, or told otherwise.
std::string source_fault(const config::Config& config, const std::string& source) {
    if (source.empty() || config.written.contains("fsname") || source == config.fsname) return {};
    if (source.size() > config::kLongestSource) return {};
    return "the first word is " + source + " and was " + config.fsname +
           " when it was mounted; plyctl branch changes the branches of a pool, and for everything else unmount it and "
           "mount it again";
}

// Said after -o, which another word there may overrule; in a file, or found out, it holds for a remount too.
bool is_said_by_word(const config::Config& config, const std::string& option) {
    const auto written = config.written.find(option);
    return written != config.written.end() && written->second.ends_with("=\n");
}

Json kept_flags(const config::Config& config) {
    struct Flag {
        const char* option;
        const char* word;
        bool on;
    };
    Json out = Json::array();
    for (const Flag& flag : {Flag{"ro", "ro", config.read_only}, Flag{"dev", "nodev", !config.dev},
                             Flag{"suid", "nosuid", !config.suid}, Flag{"exec", "noexec", !config.exec}}) {
        if (flag.on && !is_said_by_word(config, flag.option)) out.push(flag.word);
    }
    for (const std::string& word : config.kernel_options) {
        if (word == "sync" || (word == "nosymfollow" && !is_said_by_word(config, "symfollow"))) out.push(word);
    }
    return out;
}

// What the kernel does of it is its caller's to do, between a check and this.
Json run_remount(const Call& call) {
    std::vector<config::OptionWord> words;
    for (const auto& written : texts(call.request["options"])) words.push_back(word_of(written));
    const auto config = call.mount.options.config();
    std::vector<std::string> faults;
    if (auto fault = source_fault(config, call.request["source"].text()); !fault.empty()) faults.push_back(fault);
    if (call.request["writable"].is_true() && config.read_only && is_said_by_word(config, "ro")) {
        faults.emplace_back(
            "rw: it was mounted read-only and is served so; unmount it and mount it again, or say ro "
            "as well");
    }
    using How = ControlFile::Remount;
    const bool carries_out = faults.empty() && !call.request["check"].is_true();
    auto done = call.mount.options.remount(call.mount.ctx, words, carries_out ? How::carry_out : How::only_check);
    faults.insert(faults.end(), done.faults.begin(), done.faults.end());
    if (!faults.empty()) return faults_json("nothing is changed, the options have {} faults", faults);
    return std::move(answer().add("changed", names_json(done.changed)).add("flags", kept_flags(config)));
}

// rw and nc differ in what a policy may choose alone. With ro the whole mount is another one: it is held through a
// clone, copied up from and hidden by marks.
Json run_branch_mode(const Call& call) {
    const std::string& path = call.request["branch"].text();
    config::BranchMode mode;
    try {
        mode = config::parse_mode(call.request["mode"].text());
    } catch (const config::BadValue& e) {
        return refusal(e.what());
    }
    const auto config = call.mount.options.config();
    if (config.layered) return refusal("layers have no modes to change: upperdir is rw, the others are ro");
    Branch* branch = find_branch(call, path);
    if (!branch) return no_branch(path);
    if (branch->mode() == mode) return answer();
    if (branch->mode() == config::BranchMode::ro || mode == config::BranchMode::ro) {
        return change_branches(call, [&](const Branches& branches) { return with_mode(branches, path, mode); });
    }
    branch->set_mode(mode);
    call.mount.options.set_branch_mode(static_cast<std::size_t>(branch->index()), mode);
    log::info("branch {}: {} from now on", path, config::mode_name(mode));
    return answer();
}

Json run_branch_add(const Call& call) {
    const std::string& base = call.request["base"].text();
    return change_branches(call, [&](const Branches& branches) {
        return with_branches(branches, texts(call.request["branches"]), base.starts_with('/') ? base : "/",
                             call.request["first"].is_true());
    });
}

Json run_branch_remove(const Call& call) {
    return change_branches(
        call, [&](const Branches& branches) { return without_branches(branches, texts(call.request["branches"])); });
}

Json run_upgrade(const Call& call) {
    if (!call.mount.hand_over) return refusal(why_none_follows(call.mount.facts, call.mount.options.config()));
    Succession plan;
    plan.amendments = call.mount.options.amendments();
    plan.upgrade = true;
    plan.force = call.request["force"].is_true();
    return hand_over(call, plan);
}

Json run_move(const Call& call) {
    ops::RelocateRequest request;
    for (const Json& path : call.request["paths"].items()) request.paths.push_back(path.text());
    const std::string &from = call.request["from"].text(), &to = call.request["to"].text();
    const Branch* source = find_branch(call, from);
    const Branch* target = to.empty() ? nullptr : find_branch(call, to);
    if (!source) return no_branch(from);
    if (!to.empty() && !target) return no_branch(to);
    if (is_read_only(call.mount.options.config())) return refusal(kReadOnly);
    if (request.paths.empty()) return refusal("move wants paths, a list of all names of one object");
    request.from = static_cast<BranchIndex>(source->index());
    if (target) request.to = static_cast<BranchIndex>(target->index());
    request.cancelled = call.cancelled;
    const auto done = ops::relocate(call.mount.ctx, request);
    if (!done) return refusal(request.paths[0] + ": " + log::errno_text(done.error().value()));
    Json out = answer();
    out.add("moved", done->done);
    if (!done->done) out.add("why", done->why);
    if (done->now >= 0) out.add("branch", call.mount.ctx.tree.set().at(done->now).path());
    return out;
}

// clang-format off
constexpr Command kCommands[] = {
    {"status",      true,  run_status},
    {"counters",    false, run_counters},
    {"explain",     true,  run_explain},
    {"get",         false, run_get},
    {"set",         false, run_set},
    {"reload",      true,  run_reload},
    {"remount",     false, run_remount},
    {"branch-mode", true,  run_branch_mode},
    {"branch-add",  true,  run_branch_add},
    {"branch-remove", true, run_branch_remove},
    {"upgrade",     true,  run_upgrade},
    {"move",        true,  run_move},
};
// clang-format on

}  // namespace

std::span<const Command> command_table() {
    return kCommands;
}

Json refusal(std::string_view why) {
    Json out;
    out.add("ok", false).add("error", why);
    return out;
}

const Command* find_command(const Json& request) {
    const auto table = command_table();
    const auto found = std::find_if(table.begin(), table.end(),
                                    [&](const Command& command) { return command.name == request["command"].text(); });
    return found == table.end() ? nullptr : &*found;
}

std::string unknown_command(const Json& request) {
    if (!request.is_object()) return "a request is an object, such as {\"command\": \"status\"}";
    std::string names;
    for (const Command& command : command_table()) names += (names.empty() ? "" : ", ") + std::string(command.name);
    return "no such command '" + request["command"].text() + "'; there are " + names;
}

}  // namespace plyfs::control

// The rows of what is merged, and of where things go in a pool.
#include "config/error.h"
#include "config/option_rows.h"
#include "config/policy_words.h"

namespace plyfs::config {
namespace {

using D = Draft;
using V = Value;

// A policy, or whether there is one at all.
void set_move_policy(Draft& draft, const Value& value) {
    auto& policy = draft.config.pool.move_policy;
    try {
        policy = parse_bool(value.text) ? PoolOptions().move_policy : std::nullopt;
        return;
    } catch (const BadValue&) {  // then it is a policy
    }
    try {
        policy = parse_policy(value.text);
    } catch (const BadValue& e) {
        throw BadValue(std::string(e.what()) + "; or true, which says pfrd, or false");
    }
}

void add_lowerdir(Draft& draft, const std::string& path) {
    if (!draft.datadirs.empty()) throw BadValue("a layer can not follow the data-only ones; name it before them");
    if (!draft.lowerdirs) draft.lowerdirs.emplace();
    draft.lowerdirs->push_back(path);
}

template <Function kFunction>
constexpr Option function_row(std::string_view name) {
    constexpr Category category = category_of(kFunction);
    return {Group::placement,
            name,
            "",
            "",
            Kind::policy,
            "POLICY",
            category == Category::search   ? "ff"
            : category == Category::action ? "epall"
                                           : "pfrd",
            Use::pool,
            kFunction == Function::getattr ? "which branch answers where several have a file"
            : category == Category::search ? "has no effect if it is another one than func.getattr"
            : kFunction == Function::link || kFunction == Function::rename
                ? "which copies get the new name beside the one that is seen"
            : category == Category::action ? "where it is done when several branches have a file"
                                           : "which branch takes a new one",
            [](Draft& draft, const Value& value) {
                if (category_of(kFunction) == Category::create) require_create_form(value.policy);
                draft.config.pool.policies.set(kFunction, value.policy);
            }};
}

template <Category kCategory>
void set_category(Draft& draft, const Value& value) {
    if (kCategory == Category::create) require_create_form(value.policy);
    draft.config.pool.policies.set(kCategory, value.policy);
}

// clang-format off
constexpr Option kRows[] = {
    // What is merged.
    {Group::tree, "branches", "", "", Kind::branches, "DIR[=MODE[,MINFREE]]:...", "the words BRANCHES", Use::pool,
     "directories or patterns of some, the first has priority",
     [](D& d, const V& v) { d.branches = v.branches; }},
    {Group::tree, "lowerdir", "", "", Kind::layers, "DIR:...", "none", Use::layers,
     "read-only layers, the leftmost on top; after '::' data-only ones",
     [](D& d, const V& v) { d.lowerdirs = v.paths; d.datadirs = v.data_paths; }},
    {Group::tree, "lowerdir+", "", "", Kind::path, "DIR", "none", Use::layers,
     "one more read-only layer, below those named before",
     [](D& d, const V& v) { add_lowerdir(d, v.text); }},
    {Group::tree, "datadir+", "", "", Kind::path, "DIR", "none", Use::layers,
     "one more data-only layer, below everything named before",
     [](D& d, const V& v) { d.datadirs.push_back(v.text); }},
    {Group::tree, "upperdir", "", "", Kind::path, "DIR", "none: read-only", Use::layers,
     "the layer that takes all changes",
     [](D& d, const V& v) { d.upperdir = v.text; }},
    {Group::tree, "workdir", "", "", Kind::path, "DIR", "pools: inside the branches", Use::both,
     "where changes are prepared; on upperdir's file system, for this mount alone",
     [](D& d, const V& v) { d.config.workdir = v.text; }},
    {Group::tree, "mountpoint", "", "mount", Kind::path, "DIR", "the last word", Use::both,
     "where the merged tree appears",
     [](D& d, const V& v) { d.config.mountpoint = v.text; }},
    {Group::tree, "config", "", "", Kind::path, "FILE", "none", Use::both,
     "read options from this file first, YAML or lines of name=value",
     [](D& d, const V& v) { d.config_file = v.text; }},
    {Group::tree, "branches-missing", "", "", Kind::words, "fail|wait|degraded", "fail", Use::pool,
     "a branch that is not there: no mount, wait for it, or mount without it",
     [](D& d, const V& v) { d.missing = static_cast<BranchesMissing>(v.word); }},
    {Group::tree, "branches-mount-timeout", "", "", Kind::seconds, "SECONDS", "0", Use::pool,
     "how long to wait for branches to be mounted; more than 0 says branches-missing=wait",
     [](D& d, const V& v) { d.config.pool.mount_timeout = v.seconds; }},
    {Group::tree, "branches-mount-timeout-fail", "", "", Kind::flag, "", "off", Use::pool,
     "no mount when that time is over, instead of one without the branch",
     [](D& d, const V& v) { d.config.pool.mount_timeout_fail = v.on; }},
    {Group::tree, "branch-lost", "", "", Kind::words, "enoent|eio", "enoent", Use::pool,
     "what names are answered that may be on a branch which is not there",
     [](D& d, const V& v) { d.config.pool.lost_is_error = v.word == 1; }},
    {Group::tree, "branch-timeout", "", "", Kind::seconds, "SECONDS", "30", Use::both,
     "how long a branch has to answer before it is taken for one that hangs; 0: for ever",
     [](D& d, const V& v) { d.config.branch_timeout = v.seconds; }},

    // Where things go in a pool.
    {Group::placement, "create", "", "category.create", Kind::policy, "POLICY", "pfrd", Use::pool,
     "which branch takes a new name, for all four functions",
     set_category<Category::create>},
    {Group::placement, "category.search", "", "", Kind::policy, "POLICY", "ff", Use::pool,
     "which branch answers where several have a file",
     set_category<Category::search>},
    {Group::placement, "category.action", "", "", Kind::policy, "POLICY", "epall", Use::pool,
     "where changes are made when several branches have a file",
     set_category<Category::action>},
    function_row<Function::create>("func.create"),
    function_row<Function::mkdir>("func.mkdir"),
    function_row<Function::mknod>("func.mknod"),
    function_row<Function::symlink>("func.symlink"),
    function_row<Function::getattr>("func.getattr"),
    function_row<Function::access>("func.access"),
    function_row<Function::getxattr>("func.getxattr"),
    function_row<Function::listxattr>("func.listxattr"),
    function_row<Function::open>("func.open"),
    function_row<Function::readlink>("func.readlink"),
    function_row<Function::chmod>("func.chmod"),
    function_row<Function::chown>("func.chown"),
    function_row<Function::removexattr>("func.removexattr"),
    function_row<Function::rmdir>("func.rmdir"),
    function_row<Function::setxattr>("func.setxattr"),
    function_row<Function::truncate>("func.truncate"),
    function_row<Function::unlink>("func.unlink"),
    function_row<Function::utimens>("func.utimens"),
    function_row<Function::link>("func.link"),
    function_row<Function::rename>("func.rename"),
    {Group::placement, "selection", "", "", Kind::words, "ff|newest|largest", "as func.getattr", Use::pool,
     "which copy of a file is seen: the first, the newest or the largest",
     [](D& d, const V& v) {
         constexpr Policy kPolicies[] = {Policy::ff, Policy::newest, Policy::largest};
         d.selection = kPolicies[v.word];
     }},
    {Group::placement, "unlink", "", "", Kind::words, "all|winner", "all", Use::pool,
     "what a file that is deleted loses: all its copies, or the one that is seen",
     [](D& d, const V& v) { d.unlink_winner = v.word == 1; }},
    {Group::placement, "read-failover", "", "", Kind::words, "auto|always|off", "auto", Use::pool,
     "another copy is read where one can not be; always: also instead of passthrough",
     [](D& d, const V& v) { d.config.pool.failover = static_cast<ReadFailover>(v.word); }},
    {Group::placement, "ignorepponrename", "", "", Kind::flag, "", "off", Use::pool,
     "renames and links lead anywhere though func.create is path preserving",
     [](D& d, const V& v) { d.config.pool.ignore_paths = v.on; }},
    {Group::placement, "rename-exdev", "", "", Kind::words, "passthrough|rel-symlink|abs-symlink", "passthrough", Use::pool,
     "a symbolic link where a rename is not possible (EXDEV)",
     [](D& d, const V& v) {
         constexpr LinkInstead kForms[] = {LinkInstead::none, LinkInstead::relative, LinkInstead::through_mount};
         d.config.pool.rename_instead = kForms[v.word];
     }},
    {Group::placement, "link-exdev", "", "", Kind::words, "passthrough|rel-symlink|abs-base-symlink|abs-pool-symlink",
     "passthrough", Use::pool, "a symbolic link where a hard link is not possible (EXDEV)",
     [](D& d, const V& v) {
         constexpr LinkInstead kForms[] = {LinkInstead::none, LinkInstead::relative, LinkInstead::on_branch,
                                           LinkInstead::through_mount};
         d.config.pool.link_instead = kForms[v.word];
     }},
    {Group::placement, "copyup", "", "", Kind::flag, "on|off", "on", Use::pool,
     "what lies on a read-only branch is copied to one above it to be changed",
     [](D& d, const V& v) { d.config.pool.copy_up = v.on; }},
    {Group::placement, "whiteouts", "", "", Kind::flag, "on|off", "on", Use::pool,
     "what lies on a read-only branch is hidden to be deleted",
     [](D& d, const V& v) { d.config.pool.whiteouts = v.on; }},
    {Group::placement, "minfreespace", "", "", Kind::min_free, "SIZE|PERCENT%", "4G, or 5% of a smaller branch", Use::pool,
     "branches with less available take no new names",
     [](D& d, const V& v) { d.config.pool.min_free = v.min_free; }},
    {Group::placement, "moveonenospc", "", "", Kind::text, "false|true|POLICY", "pfrd", Use::pool,
     "which branch takes a file over whose own is full; true says pfrd",
     set_move_policy},
    {Group::placement, "moveonenospc-reserve", "", "", Kind::min_free, "SIZE|PERCENT%", "64G, or 5% of a smaller branch",
     Use::pool,
     "with less available files are written through the daemon",
     [](D& d, const V& v) { d.config.pool.move_reserve = v.min_free; }},
    {Group::placement, "cache.statfs", "", "", Kind::seconds, "SECONDS", "1", Use::pool,
     "how long a look at a branch's free space is believed",
     [](D& d, const V& v) { d.config.pool.space_age = v.seconds; }},
    {Group::placement, "rules", "", "", Kind::rules, "LIST", "none", Use::pool,
     "where names go by path, name and owner; in a configuration file only",
     [](D& d, const V& v) { d.config.pool.rules = v.rules; }},
};
// clang-format on

}  // namespace

std::span<const Option> pool_rows() {
    return kRows;
}

}  // namespace plyfs::config

// The rows of what is merged, and of where things go in a pool.
#include "config/error.h"
#include "config/option_rows.h"

namespace plyfs::config {
namespace {

using D = Draft;
using V = Value;

void add_lowerdir(Draft& draft, const std::string& path) {
    if (!draft.datadirs.empty()) throw BadValue("a layer can not follow the data-only ones; name it before them");
    if (!draft.lowerdirs) draft.lowerdirs.emplace();
    draft.lowerdirs->push_back(path);
}

// A rename or a link is of the whole object, wherever it has copies.
constexpr bool is_of_the_whole(Function function) {
    return function == Function::rename || function == Function::link;
}

constexpr bool is_everywhere(Policy policy) {
    return policy == Policy::all || policy == Policy::epall;
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
            : is_of_the_whole(kFunction)   ? "epall or all; others are refused"
            : category == Category::action ? "where it is done when several branches have a file"
                                           : "which branch takes a new one",
            [](Draft& draft, const Value& value) {
                if (is_of_the_whole(kFunction) && !is_everywhere(value.policy)) {
                    throw BadValue("a file is renamed and linked as a whole, with all its copies; use epall");
                }
                draft.config.pool.policies.set(kFunction, value.policy);
            }};
}

template <Category kCategory>
void set_category(Draft& draft, const Value& value) {
    Policies& policies = draft.config.pool.policies;
    if (kCategory != Category::action || is_everywhere(value.policy)) return policies.set(kCategory, value.policy);
    for (int i = 0; i < static_cast<int>(Function::count_); ++i) {
        const auto function = static_cast<Function>(i);
        if (category_of(function) != kCategory || is_of_the_whole(function)) continue;
        policies.set(function, value.policy);
    }
    draft.notices.push_back(
        "option category.action leaves func.rename and func.link as they are: a file is renamed "
        "and linked as a whole, with all its copies");
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
    {Group::placement, "minfreespace", "", "", Kind::min_free, "SIZE|PERCENT%", "4G, or 5% of a smaller branch", Use::pool,
     "branches with less available take no new names",
     [](D& d, const V& v) { d.config.pool.min_free = v.min_free; }},
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

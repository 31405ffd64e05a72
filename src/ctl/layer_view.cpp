#include "ctl/layer_view.h"

#include "base/log.h"
#include "branch/probe.h"
#include "ctl/failure.h"
#include "ctl/text.h"
#include "sys/open.h"

namespace plyfs::ctl {
namespace {

bool lies_in(const std::string& path, const std::string& dir) {
    return path == dir || path.starts_with(dir == "/" ? dir : dir + "/");
}

// As the mount reads them, but for writing.
config::Config config_of(const Mount& mount, const Json& status) {
    config::Config config;
    config.layered = config.read_only = true;
    const Json& rules = status["layers"];
    config.data_layers = static_cast<int>(rules["data_layers"].number());
    config.layers.userxattr = rules["userxattr"].is_true();
    config.layers.user_leads = rules["users_lead"].is_true();
    if (!rules["follows_redirects"].is_true()) config.layers.redirect_dir = config::RedirectDir::nofollow;
    for (const Json& branch : status["branches"].items()) {
        config::BranchSpec spec;
        spec.path = branch["path"].text();
        spec.mode = config::BranchMode::ro;
        spec.holds_mountpoint = lies_in(mount.path, spec.path);
        config.branches.push_back(std::move(spec));
    }
    return config;
}

}  // namespace

LayerView::LayerView(const Mount& mount) {
    const Json status = ask(mount, "status");
    if (status["kind"].text() != "layers") throw Failure(shown(mount.path) + " is a pool, which has no upper layer");
    if (status["branches"].items().size() < 2 || status["branches"].items()[0]["mode"].text() == "ro") {
        throw Failure(shown(mount.path) + " has no upper layer that could differ from those below");
    }
    ProbeFailure failure;
    const auto set = probe_branches(config_of(mount, status), OwnMount(), failure);
    if (!set) throw Failure(shown(failure.message) + "; plyctl has to run where the layers are seen");
    for (const auto& branch : set->all()) {
        if (branch->device() != mount.device) continue;
        throw Failure(shown(branch->path()) + " is covered by the mount itself; plyctl can not look at it");
    }
    set_ = set;
}

Layer LayerView::root_of(int index) const {
    auto fd = sys::duplicate(set_->at(index).root());
    if (!fd) throw Failure(shown(set_->at(index).path()) + ": " + log::errno_text(fd.error().value()));
    return {static_cast<BranchIndex>(index), std::make_shared<const LayerDir>(std::move(*fd))};
}

Layers LayerView::below() const {
    Layers out;
    for (int i = 1; i < set_->merged_size(); ++i) out.push_back(root_of(i));
    return out;
}

Result<Layers> open_merged(const BranchSet& set, const Layers& parent, const Name& name, const Resolved& found) {
    Layers out;
    for (const BranchIndex branch : found.layers) {
        const Layer* opened = nullptr;
        for (const Layer& layer : found.opened) {
            if (layer.branch == branch) opened = &layer;
        }
        if (opened) {
            out.push_back(*opened);
            continue;
        }
        auto fd = TRY(open_layer(set, parent, branch, name, found.detours));
        out.push_back({branch, std::make_shared<const LayerDir>(std::move(fd))});
    }
    return out;
}

}  // namespace plyfs::ctl

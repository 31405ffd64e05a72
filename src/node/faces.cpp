#include "node/faces.h"

#include "node/lasting_ids.h"
#include "node/told_names.h"

namespace plyfs {
namespace {

// More callers than this waiting to walk again at one moment do not happen; a list without bound would be a leak.
constexpr std::size_t kMaxTold = 256;

}  // namespace

void note_told(Face& face, std::int32_t pid) {
    Opens& opens = face.need_opens();
    if (opens.told_stale.size() < kMaxTold) opens.told_stale.push_back(pid);
}

void retire_face(Tree& tree, LockedNode& node, Face& face, std::int32_t pid) {
    note_told(face, pid);
    tree.counters().stale.fetch_add(1, std::memory_order_relaxed);
    if (&face != &node->face) return;
    tree.counters().splits.fetch_add(1, std::memory_order_relaxed);
    // It goes on with what it had: nothing that the next process finds under the name is that.
    ToldNames* told = LastingIds::is_lasting(node->face.id) ? nullptr : tree.nodes().told();
    if (told) told->clear(node->face.id);
    node->rare.make().retired.push_back(std::make_unique<Face>(std::move(node->face)));
    node->face = Face{};
    node->face.id = tree.nodes().new_id(node.node());
}

std::shared_ptr<Backing> end_of_opens(Tree& tree, LockedNode& node, Face& face) {
    if (!face.opens) return nullptr;
    std::shared_ptr<Backing> released;
    if (face.opens->passthrough == 0) released = std::move(face.opens->backing);
    if (face.opens->any()) return released;
    if (face.opens->told_stale.empty()) face.opens.reset();
    if (&face != &node->face && face.lookups == 0) {
        tree.nodes().end_id(face.id);
        std::erase_if(node->rare.make().retired, [&](const auto& old) { return old.get() == &face; });
    }
    return released;
}

}  // namespace plyfs

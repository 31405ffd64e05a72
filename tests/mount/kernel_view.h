// Our layers as the kernel's overlayfs shows them, which knows the same marks.
#pragma once

#include "support/check.h"
#include "support/files.h"
#include "support/trees.h"

namespace plyfs::test {

inline constexpr const char* kRedirect = "trusted.overlay.redirect";
inline constexpr const char* kMetacopy = "trusted.overlay.metacopy";

inline Mounted kernel_overlay(const Layers& tree) {
    return Mounted("overlay", tree.mnt(), "overlay", 0,
                   tree.options() + ",redirect_dir=on,metacopy=on,index=off,xino=off");
}

// Unmounts, and has the kernel show the same.
inline void check_with_kernel(Layers& tree) {
    const TreeDigest ours = TreeDigest::seen(tree.mnt());
    tree.unmount();
    Mounted kernel = kernel_overlay(tree);
    CHECK(ours.difference(TreeDigest::seen(tree.mnt())) == "");
}

}  // namespace plyfs::test

// How the marks of a mount (whiteouts, opaque directories) are written, and which are read. Settled once, when it is
// mounted.
#pragma once

namespace plyfs {

struct MarkRules {
    // device: a character device 0:0 in the place of the name. xattr: an empty regular file there, with an attribute,
    // in a directory that is marked as holding such. file: an empty file ".wh.NAME" beside it, as AUFS has it.
    enum class Whiteout { device, xattr, file };

    Whiteout whiteout = Whiteout::device;
    bool user = false;  // attributes are written as user.overlay.*, else as trusted.overlay.* where that is allowed
    bool only_user = false;  // and nothing but user.overlay.* is read
    // Marks that lead elsewhere (redirect, metacopy) or protect count in user.overlay.* as well. Whoever owns an object
    // can set them there, and so have a path walked that is closed to him.
    bool user_leads = false;
    bool aufs = true;  // AUFS' files are marks; to a pool they are files as any other
};

}  // namespace plyfs

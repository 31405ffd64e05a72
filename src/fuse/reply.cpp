#include <sys/sysmacros.h>

#include "fuse/call.h"
#include "ops/data.h"

namespace plyfs::fuse {

struct stat to_stat(const ops::Attr& attr) {
    const sys::Stat& st = attr.st;
    struct stat out = {};
    out.st_ino = st.stx_ino;
    out.st_mode = st.stx_mode;
    out.st_nlink = st.stx_nlink;
    out.st_uid = st.stx_uid;
    out.st_gid = st.stx_gid;
    out.st_rdev = makedev(st.stx_rdev_major, st.stx_rdev_minor);
    out.st_size = static_cast<off_t>(st.stx_size);
    out.st_blksize = static_cast<blksize_t>(st.stx_blksize);
    out.st_blocks = static_cast<blkcnt_t>(st.stx_blocks);
    out.st_atim = {st.stx_atime.tv_sec, st.stx_atime.tv_nsec};
    out.st_mtim = {st.stx_mtime.tv_sec, st.stx_mtime.tv_nsec};
    out.st_ctim = {st.stx_ctime.tv_sec, st.stx_ctime.tv_nsec};
    return out;
}

fuse_entry_param to_entry(const ops::Entry& entry) {
    fuse_entry_param out = {};
    out.ino = entry.id;
    out.generation = entry.generation;
    out.attr = to_stat(entry.attr);
    out.attr_timeout = entry.attr.timeout;
    out.entry_timeout = entry.timeout;
    return out;
}

int reply_entry(fuse_req_t req, const ops::Entry& entry) {
    const auto out = to_entry(entry);
    return fuse_reply_entry(req, &out);
}

int reply_attr(fuse_req_t req, const ops::Attr& attr) {
    const auto out = to_stat(attr);
    return fuse_reply_attr(req, &out, attr.timeout);
}

void describe_open(Server& server, const ops::Opened& opened, std::uint64_t request, fuse_file_info& fi) {
    server.takeover.write_down(*opened.handle, request, opened.backing_id);
    fi.fh = server.takeover.number_of(opened.handle);
    fi.backing_id = opened.backing_id;
    fi.keep_cache = opened.keep_cache;
    fi.direct_io = opened.mode == IoMode::served_from_winner;
    // FLUSH is sent at each close. There is no write-behind of ours; forwarded locks end with it.
    fi.noflush = !server.forwards_locks && !ops::flushes(server.ctx, *opened.handle);
}

}  // namespace plyfs::fuse

// Requests on open directories.
#include <sys/stat.h>

#include <memory>

#include "fuse/call.h"
#include "fuse/handlers.h"
#include "ops/dirs.h"

namespace plyfs::fuse {
namespace {

using control::Slot;

void on_opendir(fuse_req_t req, fuse_ino_t id, fuse_file_info* fi) {
    const fuse_file_info asked = *fi;
    Call(req, Slot::opendir)
        .run([id](ops::Context& ctx, const ops::Request&) { return ops::opendir(ctx, id); },
             [asked](fuse_req_t to, ops::DirHandle* handle) {
                 fuse_file_info answer = asked;
                 answer.fh = static_cast<Server*>(fuse_req_userdata(to))->takeover.number_of(handle);
                 answer.cache_readdir =
                     static_cast<Server*>(fuse_req_userdata(to))->ctx.tree.pool().files.keep_listings;
                 answer.keep_cache = handle->keep_listing();
                 before_answer();
                 return fuse_reply_open(to, &answer);
             },
             [](ops::Context&, ops::DirHandle* handle) { ops::releasedir(handle); });
}

void on_releasedir(fuse_req_t req, fuse_ino_t, fuse_file_info* fi) {
    Call call(req, Slot::releasedir);
    call.server().takeover.release_dir(fi->fh);
    fuse_reply_err(req, 0);
}

// Packs entries into the reply's buffer until one does not fit.
class Packer : public ops::DirSink {
  public:
    Packer(fuse_req_t req, std::size_t size) : req_(req), size_(size), data_(std::make_unique<char[]>(size)) {}

    bool add(std::string_view name, std::uint64_t inode, unsigned char type, std::int64_t next,
             const ops::Entry* entry) override {
        return plus_ ? add_plus(name, inode, type, next, entry) : add_plain(name, inode, type, next);
    }
    bool is_empty() const { return used_ == 0; }
    void with_attributes() { plus_ = true; }
    int reply() const { return fuse_reply_buf(req_, data_.get(), used_); }
    void undo(ops::Context& ctx) const {
        for (NodeId id : counted_) ops::forget(ctx, id, 1);
    }

  private:
    bool take(std::size_t needed) {
        if (needed > size_ - used_) return false;
        used_ += needed;
        return true;
    }
    bool add_plain(std::string_view name, std::uint64_t inode, unsigned char type, std::int64_t next) {
        struct stat st = {};
        st.st_ino = inode;
        st.st_mode = static_cast<mode_t>(type) << 12;
        return take(fuse_add_direntry(req_, data_.get() + used_, size_ - used_, name.data(), &st, next));
    }
    bool add_plus(std::string_view name, std::uint64_t inode, unsigned char type, std::int64_t next,
                  const ops::Entry* entry) {
        fuse_entry_param param = {};  // node id 0, for "." and "..": the kernel links nothing
        if (entry) param = to_entry(*entry);
        if (!entry) {
            param.attr.st_ino = inode;
            param.attr.st_mode = static_cast<mode_t>(type) << 12;
        }
        if (!take(fuse_add_direntry_plus(req_, data_.get() + used_, size_ - used_, name.data(), &param, next))) {
            return false;
        }
        if (entry) counted_.push_back(entry->id);
        return true;
    }

    fuse_req_t req_;
    std::size_t size_;
    std::size_t used_ = 0;
    bool plus_ = false;
    std::unique_ptr<char[]> data_;
    std::vector<NodeId> counted_;
};

void read_dir(fuse_req_t req, Slot slot, fuse_ino_t id, std::size_t size, off_t offset, fuse_file_info* fi, bool plus) {
    Call call(req, slot);
    call.run(
        [=, &takeover = call.server().takeover, number = fi->fh](
            ops::Context& ctx, const ops::Request&) -> Result<std::shared_ptr<Packer>> {
            // A place in a listing of other branches is none in this one: rather an error than names left out.
            if (offset != 0 && takeover.is_of_other_branches(number)) return Errno(ESTALE);
            ops::DirHandle* handle = TRY(takeover.dir(ctx, number, id));
            auto packer = std::make_shared<Packer>(req, size);
            if (plus) packer->with_attributes();
            TRY(ops::readdir(ctx, *handle, offset, plus, *packer));
            handle->note_half_read(!packer->is_empty());
            return packer;
        },
        [](fuse_req_t, const std::shared_ptr<Packer>& packer) { return packer->reply(); },
        [](ops::Context& ctx, const std::shared_ptr<Packer>& packer) { packer->undo(ctx); });
}

void on_readdir(fuse_req_t req, fuse_ino_t id, std::size_t size, off_t offset, fuse_file_info* fi) {
    read_dir(req, Slot::readdir, id, size, offset, fi, false);
}

void on_readdirplus(fuse_req_t req, fuse_ino_t id, std::size_t size, off_t offset, fuse_file_info* fi) {
    read_dir(req, Slot::readdirplus, id, size, offset, fi, true);
}

void on_fsyncdir(fuse_req_t req, fuse_ino_t id, int data_only, fuse_file_info*) {
    Call call(req, Slot::fsyncdir);
    if (!call.ctx().tree.layer_options().sync) return call.fail(Errno(ENOSYS));  // as for files
    call.run_later([=](ops::Context& ctx, const ops::Request&) { return ops::fsyncdir(ctx, id, data_only != 0); });
}

}  // namespace

void add_dir_handlers(fuse_lowlevel_ops& table) {
    table.opendir = on_opendir;
    table.releasedir = on_releasedir;
    table.readdir = on_readdir;
    table.readdirplus = on_readdirplus;
    table.fsyncdir = on_fsyncdir;
}

}  // namespace plyfs::fuse

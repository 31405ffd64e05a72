// WorkDir: where a writable branch's changes are prepared before one rename publishes them, on the branch's own file
// system. A layered mount has the user's workdir (the "work" directory inside it, as overlayfs); a pool stages in a
// directory with a reserved name in the branch's root, made on first use and removed again when it is empty at unmount.
//
// Leftovers of a killed daemon are swept when it is opened. One mount at a time: the directory is locked (flock), and
// the lock ends with the process.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/name.h"
#include "base/result.h"
#include "branch/mark_rules.h"
#include "sys/attributes.h"

namespace plyfs {

// How names in the root of a pool's branch begin that are ours; hidden from the union.
inline constexpr const char* kPoolPrefix = ".plyfs.";

class WorkDir {
  public:
    // A name in the work directory that nobody else has.
    class Temp {
      public:
        Temp(char kind, std::uint64_t number);
        Name name() const { return *Name::parse(text_); }

      private:
        std::string text_;
    };

    // parent/name is made (mode 0, as overlayfs) when it is missing, locked and swept. EBUSY: another mount has it.
    static Result<std::unique_ptr<WorkDir>> open(BorrowedFd parent, const Name& name);

    BorrowedFd fd() const { return fd_; }
    // How marks are written here.
    const MarkRules& marks() const { return marks_; }
    void set_marks(const MarkRules& rules) { marks_ = rules; }
    // The content of a staged file, before a name or mark makes it count: a rename or link can reach the disk before
    // the data it publishes, and after a power cut that would be a file of zeros.
    Status settle_content(BorrowedFd file) const;
    // What staged objects get from the directory itself, which nobody else changes.
    const sys::Inherited& inherited() const { return inherited_; }
    Temp next() { return Temp(kStaged, counter_.fetch_add(1, std::memory_order_relaxed)); }
    // A text for whoever comes after us: no name that is given here from now on outlives it, whatever the power does. A
    // sweep leaves it.
    Result<Temp> keep_note(std::string_view text);
    Status drop_note(const Name& note) const;
    // What earlier mounts have left of them, in their order.
    Result<std::vector<std::string>> earlier_notes() const;
    // EPERM: somebody else wrote it. EFBIG: nobody of us did.
    Result<std::string> read_note(const Name& note) const;
    // Removes what was staged under a name, a directory with everything in it. Failure leaves a leftover for the next
    // sweep and is logged.
    void discard(const Temp& temp);
    // A whiteout for a name that is free; ENAMETOOLONG where its form has no room for the name.
    Status put_whiteout(BorrowedFd dir, const Name& name);
    // A whiteout in the place of the name made anew in the form that is written here.
    Status renew_whiteout(BorrowedFd dir, const Name& name);
    // Moves an entry out of sight, leaving a whiteout in its place or nothing, then removes it. One rename decides. Of
    // a directory only marks are removed: should somebody have put a file there behind our back, it is kept in the
    // work directory and the log says where.
    Status take_away(BorrowedFd dir, const Name& name, bool leave_whiteout);

  private:
    static constexpr char kStaged = '#';
    static constexpr char kTaken = '!';
    static constexpr char kNote = '>';
    explicit WorkDir(UniqueFd fd) : fd_(std::move(fd)) {}
    void sweep();
    Status stage_whiteout(BorrowedFd for_dir, const Temp& temp);
    Status move_leaving_whiteout(BorrowedFd dir, const Name& name, const Temp& temp);

    MarkRules marks_;
    UniqueFd fd_;    // O_PATH
    UniqueFd lock_;  // holds the flock
    bool orders_content_ = false;
    std::uint64_t first_ = 1;  // of our own numbers
    sys::Inherited inherited_;
    std::atomic<std::uint64_t> counter_{1};
};

// Who holds the flock on a directory, from /proc/locks; 0 when that can not be told.
int lock_holder(BorrowedFd dir);

}  // namespace plyfs

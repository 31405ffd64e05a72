// What outlives a daemon that is supervised, in memory that its supervisor shares with all of them (app/supervise): the
// message by which the kernel began, what has changed of the mount since, and one record for each file that it has
// open. A record is there before the kernel hears of the open and goes when it was released, so that the daemon may die
// between any two instructions.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "ops/resume.h"

namespace plyfs::fuse {

struct OpenRecord {
    std::uint64_t handle = 0;   // as the kernel has it
    std::uint64_t request = 0;  // that was answered with it: if it is asked again, the answer has not arrived
    ops::LeftOpen open;
};

class OpenLedger {
  public:
    static constexpr std::uint32_t kNone = ~0U;

    static std::size_t bytes();
    // memory: zero, or as an earlier process has left it.
    explicit OpenLedger(void* memory);

    // Of the process that serves: 1 is the first one's. Raised by the supervisor, which must not go on at 0.
    std::uint32_t instance() const;
    void next_instance();
    // That it serves.
    bool answered() const;
    void set_answered(bool answered);
    // Of node ids, the same for all.
    std::uint64_t& generation();

    void keep_beginning(std::span<const char> message);
    std::span<const char> beginning() const;

    // What has changed of the mount since it was made (control/amendments); empty: nothing. It is there whole or not at
    // all. A trial is what only the next daemon is to serve with: until it does, one can go back. By one thread at a
    // time. False: there is no room for so much.
    enum class Amendment { proven, trial };
    bool amend(std::string_view text, Amendment kind);
    std::string_view amendments() const;
    bool is_trial() const;
    // The process that was the first to have the last trial that was not taken back; 0: there was none.
    std::uint32_t changed_at() const;
    // By the supervisor: the daemon serves with what is written; or it does not, and what was before is true again, if
    // there is that.
    void settle();
    bool revert();

    struct Left {
        std::uint32_t index;
        OpenRecord record;
        bool closing;  // its end had begun
    };
    // While nothing is added.
    std::vector<Left> open_now() const;
    // What earlier processes have left; before anything is added.
    std::vector<Left> left();
    // kNone: there is no room; it will not be resumed.
    std::uint32_t add(const OpenRecord& record);
    void set_backing(std::uint32_t index, const sys::FileKey& backing);
    void begin_closing(std::uint32_t index);
    void remove(std::uint32_t index);

  private:
    struct Header;
    struct Slot;
    Header* header_;
    Slot* slots_;
    Mutex mutex_;
    std::vector<std::uint32_t> free_ GUARDED_BY(mutex_);
};

}  // namespace plyfs::fuse

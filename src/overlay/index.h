// Index: the directory "index" in the work directory, as the kernel's overlayfs keeps it. For each original with
// several names of which one was copied up it has a further name of the copy, the original's handle; so the names that
// still lie below are known to be names of the copy, whoever mounts. The names in it are known here: that an original
// has no copy costs no look.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <unordered_set>

#include "base/mutex.h"
#include "overlay/origins.h"

namespace plyfs {

class Index {
  public:
    // Why there is no index.
    struct Refusal {
        std::string why;     // one line
        bool stale = false;  // it belongs to other layers
    };
    // workdir: the directory that has "work" in it. Where it has no index yet one is made by the first prepare().
    enum class Make { when_needed, now, never };
    static std::unique_ptr<Index> open(std::shared_ptr<const Origins> origins, BorrowedFd workdir, Make make,
                                       Refusal& refusal);

    bool empty() const { return !any_.load(std::memory_order_acquire); }
    bool contains(const std::string& name) const;
    // Where its entries are. Invalid while there never was one.
    BorrowedFd dir() const;
    // Ready to take an entry.
    Result<BorrowedFd> prepare();
    void added(const std::string& name);
    Status remove(const std::string& name);

    // How many names of an entry's original still lie below.
    std::uint32_t hidden_links(const Name& entry, const sys::Stat& st) const;
    Status keep_hidden_links(BorrowedFd object, std::uint32_t hidden) const;

  private:
    Index(std::shared_ptr<const Origins> origins, UniqueFd workdir, UniqueFd upper, bool read_only)
        : read_only_(read_only), origins_(std::move(origins)), workdir_(std::move(workdir)), upper_(std::move(upper)) {}
    Status make(Refusal& refusal) REQUIRES(mutex_);
    Status verify_root(Refusal& refusal);
    Status verify_index(BorrowedFd dir, Refusal& refusal);
    Status load(BorrowedFd dir) REQUIRES(mutex_);

    const bool read_only_;
    std::shared_ptr<const Origins> origins_;
    UniqueFd workdir_;
    UniqueFd upper_;
    mutable Mutex mutex_;  // over making it, which happens once; else a leaf
    UniqueFd dir_ GUARDED_BY(mutex_);
    std::unordered_set<std::string> names_ GUARDED_BY(mutex_);
    std::atomic<bool> any_{false};
};

}  // namespace plyfs

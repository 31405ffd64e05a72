// Backing: one file registered with the kernel as the backing file of a node, for as long as passthrough opens of the
// node use it. A backing id is a write capability on the file behind it, whatever mode its descriptor had, so a Backing
// belongs to one node and one source file and never survives a change of source.
//
// The kernel looks the id up in the opening task after the reply woke it: an id must stay open until the RELEASE of the
// last open that was answered with it, never be closed right after the reply.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/fd.h"
#include "base/result.h"
#include "overlay/resolver.h"

namespace plyfs {

// The two ioctls; the room fuse/ has the real one, unit tests a counting one. Thread-safe.
class BackingRegistrar {
  public:
    virtual ~BackingRegistrar() = default;
    // False when the kernel or an option rules passthrough out for the whole mount.
    virtual bool available() const = 0;
    // fd may be O_PATH and may be closed afterwards. EPERM, ELOOP (stacked too deeply), EINVAL (not a regular file).
    virtual Result<std::int32_t> open(BorrowedFd fd) = 0;
    virtual void close(std::int32_t id) = 0;
};

// How many descriptors may be kept only to save opening them again.
class DescriptorBudget {
  public:
    explicit DescriptorBudget(std::int64_t limit) : left_(limit) {}
    bool take() {
        if (left_.fetch_sub(1, std::memory_order_relaxed) > 0) return true;
        give();
        return false;
    }
    void give() { left_.fetch_add(1, std::memory_order_relaxed); }

  private:
    std::atomic<std::int64_t> left_;
};

class Backing {
  public:
    // Keeps `path` if the budget allows.
    Backing(BackingRegistrar& registrar, std::int32_t id, BranchIndex branch, std::uint32_t generation, UniqueFd path,
            DescriptorBudget& budget)
        : registrar_(registrar), id_(id), branch_(branch), generation_(generation), budget_(budget) {
        if (budget_.take()) path_ = std::move(path);
    }
    ~Backing() {
        registrar_.close(id_);
        if (path_.valid()) budget_.give();
    }
    Backing(const Backing&) = delete;
    Backing& operator=(const Backing&) = delete;

    std::int32_t id() const { return id_; }
    BranchIndex branch() const { return branch_; }
    // The node's data generation whose source file this is.
    std::uint32_t generation() const { return generation_; }
    // O_PATH of the file, for the calls that passthrough leaves to us; invalid when descriptors were short.
    BorrowedFd path() const { return path_; }

  private:
    BackingRegistrar& registrar_;
    std::int32_t id_;
    BranchIndex branch_;
    std::uint32_t generation_;
    DescriptorBudget& budget_;
    UniqueFd path_;
};

}  // namespace plyfs

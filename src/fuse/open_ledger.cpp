#include "fuse/open_ledger.h"

#include <algorithm>
#include <cstring>

namespace plyfs::fuse {
namespace {

constexpr std::uint32_t kMost = 1U << 20;
constexpr std::size_t kLongestBeginning = 1024;
constexpr std::size_t kLongestText = std::size_t{1} << 20;
// The one that holds, the one on trial, and one to be written.
constexpr std::uint32_t kTexts = 3;
enum State : std::uint32_t { kFree, kOpen, kClosing };

}  // namespace

struct OpenLedger::Header {
    std::atomic<std::uint32_t> instance;
    std::atomic<std::uint32_t> answered;
    std::uint64_t generation;
    std::atomic<std::uint32_t> beginning_size;
    char beginning[kLongestBeginning];
    std::atomic<std::uint32_t> used;  // slots from here on never were
    struct Text {
        std::uint32_t size;
        char bytes[kLongestText];
    };
    Text texts[kTexts];
    std::atomic<std::uint32_t> current;  // of the texts
    std::atomic<std::uint32_t> proven;
    std::atomic<std::uint32_t> changed_at;
    std::atomic<std::uint32_t> changed_before;  // of the text to go back to
};

struct OpenLedger::Slot {
    std::atomic<std::uint32_t> state;
    OpenRecord record;
};

std::size_t OpenLedger::bytes() {
    return sizeof(Header) + kMost * sizeof(Slot);
}

OpenLedger::OpenLedger(void* memory)
    : header_(static_cast<Header*>(memory)), slots_(reinterpret_cast<Slot*>(header_ + 1)) {}

std::uint32_t OpenLedger::instance() const {
    return header_->instance.load();
}

void OpenLedger::next_instance() {
    header_->instance.fetch_add(1);
}

bool OpenLedger::answered() const {
    return header_->answered.load() != 0;
}

void OpenLedger::set_answered(bool answered) {
    header_->answered.store(answered ? 1 : 0);
}

std::uint64_t& OpenLedger::generation() {
    return header_->generation;
}

void OpenLedger::keep_beginning(std::span<const char> message) {
    if (message.size() > kLongestBeginning) return;
    std::memcpy(header_->beginning, message.data(), message.size());
    header_->beginning_size.store(static_cast<std::uint32_t>(message.size()), std::memory_order_release);
}

std::span<const char> OpenLedger::beginning() const {
    return {header_->beginning, header_->beginning_size.load(std::memory_order_acquire)};
}

bool OpenLedger::amend(std::string_view text, Amendment kind) {
    if (text.size() > kLongestText) return false;
    std::uint32_t next = 0;
    while (next == header_->current.load() || next == header_->proven.load()) ++next;
    header_->texts[next].size = static_cast<std::uint32_t>(text.size());
    std::memcpy(header_->texts[next].bytes, text.data(), text.size());
    header_->current.store(next);
    if (kind == Amendment::proven) settle();
    if (kind == Amendment::trial) {
        header_->changed_before.store(header_->changed_at.load());
        header_->changed_at.store(instance() + 1);
    }
    return true;
}

std::uint32_t OpenLedger::changed_at() const {
    return header_->changed_at.load();
}

std::string_view OpenLedger::amendments() const {
    const auto& text = header_->texts[header_->current.load()];
    return {text.bytes, text.size};
}

bool OpenLedger::is_trial() const {
    return header_->current.load() != header_->proven.load();
}

void OpenLedger::settle() {
    header_->proven.store(header_->current.load());
}

bool OpenLedger::revert() {
    const bool trial = header_->current.exchange(header_->proven.load()) != header_->proven.load();
    if (trial) header_->changed_at.store(header_->changed_before.load());
    return trial;
}

std::vector<OpenLedger::Left> OpenLedger::open_now() const {
    std::vector<Left> out;
    for (std::uint32_t i = 0; i < header_->used.load(); ++i) {
        const auto state = slots_[i].state.load(std::memory_order_acquire);
        if (state != kFree) out.push_back({i, slots_[i].record, state == kClosing});
    }
    return out;
}

std::vector<OpenLedger::Left> OpenLedger::left() {
    MutexLock lock(mutex_);
    free_.clear();
    for (std::uint32_t i = 0; i < header_->used.load(); ++i) {
        if (slots_[i].state.load(std::memory_order_acquire) == kFree) free_.push_back(i);
    }
    return open_now();
}

std::uint32_t OpenLedger::add(const OpenRecord& record) {
    std::uint32_t index;
    {
        MutexLock lock(mutex_);
        if (!free_.empty()) {
            index = free_.back();
            free_.pop_back();
        } else if (header_->used.load() < kMost) {
            index = header_->used.fetch_add(1);
        } else {
            return kNone;
        }
    }
    slots_[index].record = record;
    slots_[index].state.store(kOpen, std::memory_order_release);
    return index;
}

void OpenLedger::set_backing(std::uint32_t index, const sys::FileKey& backing) {
    slots_[index].record.open.backing = backing;
}

void OpenLedger::begin_closing(std::uint32_t index) {
    if (index != kNone) slots_[index].state.store(kClosing, std::memory_order_release);
}

void OpenLedger::remove(std::uint32_t index) {
    if (index == kNone) return;
    slots_[index].state.store(kFree, std::memory_order_release);
    MutexLock lock(mutex_);
    free_.push_back(index);
}

}  // namespace plyfs::fuse

#include "node/io_mode.h"

#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using namespace plyfs;

namespace {

std::string_view word(IoMode mode) {
    switch (mode) {
        case IoMode::cached:
            return "cached";
        case IoMode::passthrough_new:
            return "new";
        case IoMode::passthrough_shared:
            return "shared";
        case IoMode::served_from_winner:
            return "served";
        case IoMode::stale:
            return "stale";
        case IoMode::busy:
            return "busy";
    }
    return "?";
}

// One letter a fact, upper case when it holds: Passthrough held, Cached held, backing is Winner,
// passthroughAble, Writes, cHanged, came Back.
struct Facts {
    bool passthrough, cached, winner, able, writes, changed, back;

    OpenFacts open_facts(std::uint32_t count = 1) const {
        OpenFacts facts;
        facts.passthrough_opens = passthrough ? count : 0;
        facts.cached_opens = cached ? count : 0;
        facts.backing_is_winner = winner;
        facts.can_pass_through = able;
        facts.writes = writes;
        facts.winner_changed_data = changed;
        facts.came_back = back;
        return facts;
    }
    std::string text() const {
        const bool all[] = {passthrough, cached, winner, able, writes, changed, back};
        std::string out;
        for (bool one : all) out += one ? 'y' : 'n';
        return out;
    }
};

std::vector<Facts> every_combination() {
    std::vector<Facts> out;
    for (unsigned bits = 0; bits < 128; ++bits) {
        auto bit = [&](unsigned i) { return (bits >> i & 1) != 0; };
        out.push_back({bit(0), bit(1), bit(2), bit(3), bit(4), bit(5), bit(6)});
    }
    return out;
}

bool matches(std::string_view pattern, std::string_view facts) {
    for (std::size_t i = 0; i < facts.size(); ++i) {
        if (pattern[i] != '*' && pattern[i] != facts[i]) return false;
    }
    return true;
}

// The kernel's side of one node id (KERNEL.md b), written from its table and not from the code under test.
class KernelInode {
  public:
    enum class File { none, lower, upper };
    struct Answer {
        enum class Kind { cached, passthrough, passthrough_direct } kind;
        File file;
        int registration;  // another BACKING_OPEN of the same file is another backing
    };

    bool would_be_eio(const Answer& answer) const {
        if (answer.kind == Answer::Kind::cached) return passthrough_ > 0;
        return cached_ > 0 || (passthrough_ > 0 && answer.registration != registration_);
    }
    void open(const Answer& answer) {
        if (answer.kind == Answer::Kind::cached) {
            ++cached_;
            return;
        }
        ++passthrough_;
        registration_ = answer.registration;
        file_ = answer.file;
    }
    void release(const Answer& answer) {
        if (answer.kind == Answer::Kind::cached) {
            --cached_;
        } else if (--passthrough_ == 0) {
            file_ = File::none;
        }
    }
    std::uint32_t cached() const { return cached_; }
    std::uint32_t passthrough() const { return passthrough_; }
    File file() const { return file_; }
    int registration() const { return registration_; }

  private:
    std::uint32_t cached_ = 0;
    std::uint32_t passthrough_ = 0;
    int registration_ = 0;
    File file_ = File::none;
};

using Kind = KernelInode::Answer::Kind;
using File = KernelInode::File;

// What the daemon sends for a mode: which file it names to the kernel.
std::optional<KernelInode::Answer> answer_for(IoMode mode, const KernelInode& inode, File winner,
                                              int next_registration) {
    switch (mode) {
        case IoMode::cached:
            return KernelInode::Answer{Kind::cached, File::none, 0};
        case IoMode::passthrough_new:
            return KernelInode::Answer{Kind::passthrough, winner, next_registration};
        case IoMode::passthrough_shared:
            return KernelInode::Answer{Kind::passthrough, inode.file(), inode.registration()};
        case IoMode::served_from_winner:
            return KernelInode::Answer{Kind::passthrough_direct, inode.file(), inode.registration()};
        case IoMode::stale:
        case IoMode::busy:
            return std::nullopt;
    }
    return std::nullopt;
}

}  // namespace

TEST_CASE("io mode: the complete table") {
    struct Row {
        const char* pattern;
        const char* mode;
    };
    // P passthrough held, C cached held, W backing is the winner, A can pass through, w writes, d data
    // changed, b came back
    const Row rows[] = {
        // PCWAwdb
        {"*y*****", "cached"},  // cached opens are held: nothing else is allowed
        {"nn*y***", "new"},     // nobody has it open: the winner is handed over, whatever happened before
        {"nn*n***", "cached"},
        {"yny****", "shared"},  // the held backing is the winner: one id for all, readers and writers
        {"ynn*nn*", "shared"},  // old readers, a new reader, the bytes are still equal
        {"ynn*nyn", "stale"},   // the bytes differ: the walk ends at a new node id
        {"ynn*nyy", "served"},  // no walk to repeat: the reader gets the new bytes through the daemon
        {"ynn*y*n", "stale"},
        {"ynn*y*y", "busy"},  // and a writer an honest error
    };
    for (const Facts& facts : every_combination()) {
        const std::string text = facts.text();
        INFO(text);
        std::vector<std::string> found;
        for (const Row& row : rows) {
            if (matches(row.pattern, text)) found.emplace_back(row.mode);
        }
        REQUIRE(found.size() == 1);
        CHECK(word(decide_io_mode(facts.open_facts(1))) == found[0]);
        CHECK(word(decide_io_mode(facts.open_facts(1000))) == found[0]);
    }
}

TEST_CASE("io mode: no answer would be EIO, for every combination of facts") {
    for (const Facts& facts : every_combination()) {
        if (facts.passthrough && facts.cached) continue;  // the kernel never holds both
        INFO(facts.text());
        KernelInode inode;
        const File winner = File::upper;
        if (facts.passthrough) inode.open({Kind::passthrough, facts.winner ? File::upper : File::lower, 1});
        if (facts.cached) inode.open({Kind::cached, File::none, 0});
        const IoMode mode = decide_io_mode(facts.open_facts());
        const auto answer = answer_for(mode, inode, winner, 2);
        if (!answer) {
            // Refusing is for old readers of another file alone.
            CHECK(facts.passthrough);
            CHECK_FALSE(facts.winner);
            CHECK((facts.writes || facts.changed));
            CHECK((mode == IoMode::busy) == facts.back);
            continue;
        }
        CHECK_FALSE(inode.would_be_eio(*answer));
        const bool from_old_file = answer->kind == Kind::passthrough && answer->file != winner;
        if (from_old_file) {
            CHECK_FALSE(facts.writes);   // a write would go to a read-only branch
            CHECK_FALSE(facts.changed);  // and old bytes would be read
        }
        // Its maps would be the old file: never for a writer.
        if (answer->kind == Kind::passthrough_direct) CHECK_FALSE(facts.writes);
        if (mode == IoMode::passthrough_new) CHECK(facts.able);
    }
}

TEST_CASE("io mode: long random sequences of opens, copy-ups and releases never meet EIO") {
    std::mt19937 random(12345);
    auto one_of = [&](unsigned n) { return std::uniform_int_distribution<unsigned>(0, n - 1)(random); };
    std::map<IoMode, int> seen;
    for (int run = 0; run < 400; ++run) {
        KernelInode inode;
        std::vector<KernelInode::Answer> handles;
        File winner = File::lower;
        bool changed = false;
        bool told = false;
        int registrations = 0;
        const bool flaky = run % 4 == 0;  // registrations are refused now and then
        for (int step = 0; step < 60; ++step) {
            if (!handles.empty() && one_of(3) == 0) {
                const std::size_t which = one_of(static_cast<unsigned>(handles.size()));
                inode.release(handles[which]);
                handles.erase(handles.begin() + static_cast<std::ptrdiff_t>(which));
                continue;
            }
            const bool writes = one_of(4) == 0;
            if (writes) winner = File::upper;  // copied up before the mode is decided
            OpenFacts facts;
            facts.passthrough_opens = inode.passthrough();
            facts.cached_opens = inode.cached();
            facts.backing_is_winner = inode.passthrough() == 0 || inode.file() == winner;
            facts.winner_changed_data = changed;
            facts.can_pass_through = !flaky || one_of(2) == 0;
            facts.writes = writes;
            facts.came_back = told;
            const IoMode mode = decide_io_mode(facts);
            ++seen[mode];
            told = mode == IoMode::stale;
            const auto answer = answer_for(mode, inode, winner, registrations + 1);
            if (!answer) {
                // Whoever has a path walks it again, and opens a writable file at a new node id.
                if (mode == IoMode::stale && one_of(2) == 0) {
                    told = false;
                    changed = changed || writes;
                }
                continue;
            }
            if (mode == IoMode::passthrough_new) ++registrations;
            REQUIRE_FALSE(inode.would_be_eio(*answer));
            inode.open(*answer);
            handles.push_back(*answer);
            if (writes) changed = true;
        }
    }
    // The walk reached every answer there is.
    for (IoMode mode : {IoMode::cached, IoMode::passthrough_new, IoMode::passthrough_shared,
                        IoMode::served_from_winner, IoMode::stale, IoMode::busy}) {
        CHECK_MESSAGE(seen[mode] > 0, word(mode));
    }
}

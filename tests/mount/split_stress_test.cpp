// A dozen processes open, read, write, truncate and stat one set of lower files with hard links, all at once,
// so that copy-ups and node splits happen under every other operation. Nobody may see an error, no
// acknowledged byte may be missing, no lower may change.
#include <sys/mman.h>
#include <unistd.h>

#include <random>

#include "support/check.h"
#include "support/files.h"
#include "support/run.h"
#include "support/sandbox.h"
#include "support/trees.h"

using namespace plyfs::test;

namespace {

constexpr int kFiles = 600;  // every fourth is also truncated, and then only checked for errors
constexpr int kProcesses = 12;
constexpr int kSteps = 2500;
constexpr int kHeld = 40;
constexpr off_t kSize = 160000;  // larger than anything that might be served cached for being small
constexpr off_t kSlots = 64;     // where the processes' own numbers begin

// [process][file]: the number that the process wrote last and the kernel acknowledged.
using Acknowledged = unsigned[kProcesses][kFiles];

struct Failure {
    int step = 0, what = 0, err = 0, file = 0;
    unsigned found = 0;
};
struct Shared {
    Acknowledged last;
    Failure failures[kProcesses];
};

bool truncated(int file) {
    return file % 4 == 0;
}
off_t slot(int process) {
    return kSlots + process * 8;
}

class Worker {
  public:
    Worker(const std::string& mnt, Shared* shared, int number)
        : mnt_(mnt), shared_(shared), number_(number), random_(static_cast<unsigned>(number) + 1) {}

    int work() {
        for (step_ = 0; step_ < kSteps; step_++) {
            int what = static_cast<int>(random_() % 10);
            if (!one(what)) {
                shared_->failures[number_] = {step_, what, errno, file_, found_};
                return 1;
            }
        }
        for (int fd : held_) ::close(fd);
        return 0;
    }

  private:
    bool one(int what) {
        file_ = static_cast<int>(random_() % kFiles);
        path_ = mnt_ + (random_() % 2 ? "/a/f" : "/b/l") + std::to_string(file_);
        struct stat st {};
        switch (what) {
            case 0:
            case 1:
            case 2:
                return write_own(O_RDWR);
            case 3:
                if (truncated(file_)) return write_own(O_WRONLY | O_TRUNC);
                return write_own(O_RDWR | O_CREAT);
            case 4:
            case 5:
            case 6:
                return read_own();
            case 7:
                return truncated(file_) ? ::truncate(path_.c_str(), 100) == 0
                                        : ::truncate(path_.c_str(), kSize + 1) == 0;
            case 8:
                return ::chmod(path_.c_str(), 0600 + random_() % 64) == 0;
            default:
                return ::stat(path_.c_str(), &st) == 0 && (truncated(file_) || st.st_size >= kSize);
        }
    }

    bool write_own(int flags) {
        int fd = ::open(path_.c_str(), flags | O_CLOEXEC, 0644);
        if (fd < 0) return false;
        unsigned number = static_cast<unsigned>(step_) + 1;
        if (::pwrite(fd, &number, sizeof number, slot(number_)) != sizeof number) return false;
        shared_->last[number_][file_] = number;
        return keep(fd);
    }

    bool read_own() {
        int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) return false;
        unsigned number = 0;
        ssize_t n = ::pread(fd, &number, sizeof number, slot(number_));
        found_ = number;
        if (n >= 0) errno = 0;
        if (n < 0 || (!truncated(file_) && (n != sizeof number || number != shared_->last[number_][file_])))
            return false;
        return keep(fd);
    }

    // Handles stay open for a while, as those of real programs do.
    bool keep(int fd) {
        int& place = held_[random_() % kHeld];
        if (place > 0) ::close(place);
        place = fd;
        return true;
    }

    std::string mnt_, path_;
    Shared* shared_;
    int number_, step_ = 0, file_ = 0;
    unsigned found_ = 0;
    std::minstd_rand random_;
    int held_[kHeld] = {};
};

void fill(const std::string& lower) {
    make_dirs(lower + "/a");
    make_dirs(lower + "/b");
    for (int i = 0; i < kFiles; i++) {
        write_file(lower + "/a/f" + std::to_string(i), pattern(kSlots));
        OK(::truncate((lower + "/a/f" + std::to_string(i)).c_str(),
                      kSize));  // the rest is a hole: copies are quick
        OK(::link((lower + "/a/f" + std::to_string(i)).c_str(), (lower + "/b/l" + std::to_string(i)).c_str()));
    }
}

void check_bytes(Tree& tree, const Shared& shared) {
    for (int file = 0; file < kFiles; file++) {
        if (truncated(file)) continue;
        std::string content = read_file(tree / ("a/f" + std::to_string(file)));
        CHECK(content == read_file(tree / ("b/l" + std::to_string(file))));
        std::string wanted = pattern(kSlots);
        wanted.resize(kSize);
        for (int process = 0; process < kProcesses; process++) {
            auto* bytes = reinterpret_cast<const char*>(&shared.last[process][file]);
            wanted.replace(static_cast<std::size_t>(slot(process)), sizeof(unsigned), bytes, sizeof(unsigned));
        }
        CAPTURE(file);
        CHECK((content.substr(0, kSize) == wanted));
    }
}

}  // namespace

TEST_CASE("split stress: a dozen processes over one set of lower files with hard links") {
    set_deadline(150, "split stress");
    auto* shared = static_cast<Shared*>(
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    REQUIRE(shared != MAP_FAILED);
    Layers tree({.mib = 96});
    fill(tree.lower);
    tree.mount();
    std::vector<std::unique_ptr<Child>> children;
    for (int i = 0; i < kProcesses; i++)
        children.push_back(std::make_unique<Child>([&, i] { return Worker(tree.mnt(), shared, i).work(); }));
    for (int i = 0; i < kProcesses; i++) {
        CAPTURE(i);
        int code = children[static_cast<std::size_t>(i)]->wait(120);
        const Failure& failure = shared->failures[i];
        INFO("step ", failure.step, ", operation ", failure.what, ", file ", failure.file, ": ",
             errno_words(failure.err), "; found ", failure.found, ", acknowledged ", shared->last[i][failure.file]);
        CHECK(code == 0);
    }
    check_bytes(tree, *shared);
    if (!is_standin()) {
        Stats now = tree.stats();
        MESSAGE("copy-ups " << now["copyups"] << ", splits " << now["splits"] << ", ESTALE " << now["estale"]
                            << ", opens " << now.opens() << ", registrations " << now["backings.opened"]);
        CHECK(now["copyups"] == kFiles);
        CHECK(now.request("read") + now.request("write") == 0);
        CHECK(now["splits"] > 0);
    }
    tree.unmount();  // checks that every backing was closed and no lower changed
}

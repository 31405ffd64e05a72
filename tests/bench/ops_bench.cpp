// What one operation of the file system costs, seen from a program: packaging/bench runs this on the native
// file system and on each mount in turn.
//
//   ops_bench prepare DIR         makes DIR/read with the files that are only looked at
//   ops_bench prepare-tree DIR FILES PER_FOLDER BYTES   a tree of so many files of that mean size
//   ops_bench run DIR ROW [THREADS]   measures in DIR, which shows what `prepare` made; threads share the names
//   ops_bench prepare-layer DIR N one of the layers for `bulk`: a merged directory, one of its own
//   ops_bench bulk DIR ROW COUNT  does COUNT operations once in DIR, and says what one took
//   ops_bench beside-copy DIR F   opens DIR/F for writing, and says what the longest stat in DIR took meanwhile
//
// One line on stdout: row, TAB, microseconds an operation (of all threads together). It is the median of several
// batches; each starts with what it needs warm (or, where it says cold, with the kernel's names and inodes dropped, for
// which one must be root).
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kFiles = 256;  // in DIR/read
constexpr int kBatches = 7;
constexpr int kColdBatches = 5;  // dropping the caches takes long and disturbs others
constexpr int kFileSize = 4096;
constexpr useconds_t kAfterDrop = 200000;  // for FORGETs on their way

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what + ": " + std::strerror(errno));
}

void check(int rc, const std::string& what) {
    if (rc < 0) fail(what);
}

void close_checked(int fd) {
    check(close(fd), "close");
}

int open_checked(const std::string& path, int flags, mode_t mode = 0) {
    const int fd = open(path.c_str(), flags | O_CLOEXEC, mode);
    check(fd, path);
    return fd;
}

void stat_checked(const std::string& path) {
    struct stat st;
    check(stat(path.c_str(), &st), path);
}

void stat_in(int dir, const char* name) {
    struct stat st;
    check(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), name);
}

void make_file(const std::string& path) {
    static const std::vector<char> bytes(kFileSize, 'x');
    const int fd = open_checked(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (write(fd, bytes.data(), bytes.size()) != kFileSize) fail(path);
    close_checked(fd);
}

std::vector<std::string> names_in(const std::string& dir, const char* stem, int count) {
    std::vector<std::string> out;
    for (int i = 0; i < count; ++i) out.push_back(dir + "/" + stem + std::to_string(i));
    return out;
}

// Twice: a daemon that holds a descriptor of each file the kernel knows keeps the inodes below from being dropped until
// it has got the FORGETs of the first time, and what it then found warm would not be a cold stat.
void drop_names_and_inodes() {
    for (int i = 0; i < 2; ++i) {
        const int fd = open_checked("/proc/sys/vm/drop_caches", O_WRONLY);
        if (write(fd, "2", 1) != 1) fail("drop_caches");
        close_checked(fd);
        usleep(kAfterDrop);
    }
}

// How many names are in it, and of each what `act` does.
template <typename Act>
int list_names(const std::string& dir, Act act) {
    DIR* stream = opendir(dir.c_str());
    if (!stream) fail(dir);
    int seen = 0;
    while (const dirent* entry = readdir(stream)) {
        act(dirfd(stream), entry->d_name);
        ++seen;
    }
    closedir(stream);
    return seen;
}

class Bench {
  public:
    Bench(const std::string& dir, int threads)
        : read_dir_(dir + "/read"),
          own_dir_(dir + "/ops." + std::to_string(getpid())),
          read_(names_in(read_dir_, "f", kFiles)),
          threads_(threads) {
        check(mkdir(own_dir_.c_str(), 0755), own_dir_);
    }
    ~Bench() {
        if (rmdir(own_dir_.c_str()) != 0) std::perror(own_dir_.c_str());
    }
    Bench(const Bench&) = delete;

    void run(const std::string& wanted) {
        for (const Row& row : rows()) {
            if (row.name != wanted) continue;
            std::vector<double> times;
            for (int i = 0; i < row.batches; ++i) times.push_back(row.batch());
            std::sort(times.begin(), times.end());
            std::printf("%s\t%.3f\n", row.name.c_str(), times[times.size() / 2]);
            return;
        }
        throw std::runtime_error(wanted + ": no such row");
    }

  private:
    struct Row {
        std::string name;
        std::function<double()> batch;  // microseconds an operation
        int batches = kBatches;
    };
    using Paths = std::vector<std::string>;
    using Act = std::function<void(const std::string&)>;

    // Microseconds that `act` takes a path, `passes` times over all of them.
    double timed(const Paths& paths, int passes, const Act& act) const {
        std::vector<std::future<void>> done;
        const auto start = Clock::now();
        for (int thread = 1; thread < threads_; ++thread) {
            done.push_back(std::async(std::launch::async, [&, thread] { act_on_share(paths, passes, act, thread); }));
        }
        act_on_share(paths, passes, act, 0);
        for (auto& share : done) share.get();
        const std::chrono::duration<double, std::micro> took = Clock::now() - start;
        return took.count() / (static_cast<double>(paths.size()) * passes);
    }
    void act_on_share(const Paths& paths, int passes, const Act& act, int thread) const {
        for (int pass = 0; pass < passes; ++pass) {
            for (std::size_t i = thread; i < paths.size(); i += threads_) act(paths[i]);
        }
    }
    // The same after one pass that nobody counts.
    double warm(const Paths& paths, int passes, const Act& act) const {
        timed(paths, 1, act);
        return timed(paths, passes, act);
    }

    // New names each time: a name looked for once may be remembered.
    Paths new_names(const char* stem) {
        Paths out = names_in(own_dir_, (std::string(stem) + std::to_string(++series_) + "_").c_str(), kFiles);
        return out;
    }
    Paths new_files() {
        Paths out = new_names("n");
        for (const auto& path : out) make_file(path);
        return out;
    }
    static void remove(const Paths& paths, int flags = 0) {
        for (const auto& path : paths) check(unlinkat(AT_FDCWD, path.c_str(), flags), path);
    }

    double cold_stat() {
        drop_names_and_inodes();
        stat_checked(read_dir_);
        return timed(read_, 1, stat_checked);
    }
    double open_close() {
        return warm(read_, 4, [](const std::string& path) { close_checked(open_checked(path, O_RDONLY)); });
    }
    double open_read_close() {
        return warm(read_, 4, [](const std::string& path) {
            char bytes[kFileSize];
            const int fd = open_checked(path, O_RDONLY);
            if (read(fd, bytes, sizeof bytes) != kFileSize) fail(path);
            close_checked(fd);
        });
    }
    double missing() {
        return timed(new_names("missing"), 1, [](const std::string& path) {
            struct stat st;
            if (stat(path.c_str(), &st) == 0 || errno != ENOENT) throw std::runtime_error(path + ": not missing");
        });
    }
    double create() {
        const Paths paths = new_names("n");
        const double took = timed(paths, 1, [](const std::string& path) {
            close_checked(open_checked(path, O_WRONLY | O_CREAT | O_EXCL, 0644));
        });
        remove(paths);
        return took;
    }
    double unlink_files() {
        return timed(new_files(), 1, [](const std::string& path) { check(unlink(path.c_str()), path); });
    }
    double make_dirs() {
        const Paths paths = new_names("d");
        const double took = timed(paths, 1, [](const std::string& path) { check(mkdir(path.c_str(), 0755), path); });
        remove(paths, AT_REMOVEDIR);
        return took;
    }
    double rename_files() {
        const Paths paths = new_files();
        const auto renamed = [](const std::string& path) { return path + ".renamed"; };
        const double took =
            timed(paths, 1, [&](const std::string& path) { check(rename(path.c_str(), renamed(path).c_str()), path); });
        for (const auto& path : paths) check(unlink(renamed(path).c_str()), path);
        return took;
    }
    double change_modes() {
        const Paths paths = new_files();
        mode_t mode = 0600;
        const double took = warm(paths, 2, [&](const std::string& path) {
            mode ^= 0044;
            check(chmod(path.c_str(), mode), path);
        });
        remove(paths);
        return took;
    }
    double append() {
        const Paths paths = new_files();
        const double took = timed(paths, 1, [](const std::string& path) {
            const int fd = open_checked(path, O_WRONLY | O_APPEND);
            if (write(fd, "appended", 8) != 8) fail(path);
            close_checked(fd);
        });
        remove(paths);
        return took;
    }
    // An operation is one entry.
    template <typename Each>
    double list(Each act) {
        int seen = 0;
        const double took = warm({read_dir_}, 4, [&](const std::string& dir) { seen = list_names(dir, act); });
        return took / seen;
    }

    std::vector<Row> rows() {
        return {
            {"stat-cold", [this] { return cold_stat(); }, kColdBatches},
            {"stat-warm", [this] { return warm(read_, 8, stat_checked); }},
            {"missing-name", [this] { return missing(); }},
            {"open-close", [this] { return open_close(); }},
            {"open-read4k-close", [this] { return open_read_close(); }},
            {"create-close", [this] { return create(); }},
            {"append", [this] { return append(); }},
            {"unlink", [this] { return unlink_files(); }},
            {"mkdir", [this] { return make_dirs(); }},
            {"rename", [this] { return rename_files(); }},
            {"readdir", [this] { return list([](int, const char*) {}); }},
            {"readdir-stat", [this] { return list(stat_in); }},
            {"chmod", [this] { return change_modes(); }},
        };
    }

    std::string read_dir_;
    std::string own_dir_;
    Paths read_;
    int threads_;
    int series_ = 0;
};

void prepare(const std::string& dir) {
    const std::string read_dir = dir + "/read";
    check(mkdir(read_dir.c_str(), 0755), read_dir);
    for (const auto& path : names_in(read_dir, "f", kFiles)) make_file(path);
}

// The same each time: text of lines, so that what packs and searches has its usual work.
void prepare_tree(const std::string& dir, int files, int per_folder, int mean_bytes) {
    constexpr int kFolders = 20;  // in a folder that has no files
    static const char* const kWords[] = {"layer", "branch", "union", "copy", "write", "read", "rename", "whiteout"};
    check(mkdir(dir.c_str(), 0755), dir);
    std::string folder;
    unsigned word = 1;
    for (int i = 0; i < files; ++i) {
        const int number = i / per_folder;
        if (i % per_folder == 0) {
            const std::string above = dir + "/a" + std::to_string(number / kFolders);
            if (number % kFolders == 0) check(mkdir(above.c_str(), 0755), above);
            folder = above + "/b" + std::to_string(number);
            check(mkdir(folder.c_str(), 0755), folder);
        }
        std::string text;
        // A fifth, two fifths... of twice the mean.
        const int bytes = 2 * mean_bytes * (i % 5) / 4;
        while (static_cast<int>(text.size()) < bytes) {
            word = word * 1103515245 + 12345;
            text += kWords[word >> 16 & 7];
            text += (word >> 20 & 7) ? ' ' : '\n';
        }
        const std::string path = folder + "/f" + std::to_string(i);
        const int fd = open_checked(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
        if (write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) fail(path);
        close_checked(fd);
    }
}

void prepare_layer(const std::string& dir, const std::string& number) {
    constexpr int kOwn = 8;
    for (const std::string& sub : {std::string("merged"), "own" + number}) {
        check(mkdir((dir + "/" + sub).c_str(), 0755), sub);
        for (const auto& path : names_in(dir + "/" + sub, ("f" + number + "_").c_str(), kOwn)) make_file(path);
    }
}

// Once over fresh names, as a program that unpacks or installs does it.
void bulk(const std::string& dir, const std::string& row, int count) {
    const auto paths = names_in(dir, "bulk", count);
    const auto start = Clock::now();
    if (row == "create") {
        for (const auto& path : paths) close_checked(open_checked(path, O_WRONLY | O_CREAT | O_EXCL, 0644));
    } else if (row == "write+rename") {
        for (const auto& path : paths) {
            make_file(path + ".part");
            check(rename((path + ".part").c_str(), (path + ".whole").c_str()), path);
        }
    } else if (row == "missing") {
        for (const auto& path : paths) {
            struct stat st;
            if (stat((path + ".missing").c_str(), &st) == 0) throw std::runtime_error(path + ": not missing");
        }
    } else {
        throw std::runtime_error(row + ": no such row");
    }
    const std::chrono::duration<double, std::micro> took = Clock::now() - start;
    std::printf("%s\t%.3f\n", row.c_str(), took.count() / count);
}

double microseconds_of(const std::function<void()>& act) {
    const auto start = Clock::now();
    act();
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

// By another process: of the file itself, past what the kernel remembers of it, and of names that nobody looked for.
void beside_copy(const std::string& dir, const std::string& name) {
    const std::string file = dir + "/" + name;
    const pid_t writer = fork();
    check(writer, "fork");
    if (writer == 0) _exit(open(file.c_str(), O_RDWR | O_CLOEXEC) < 0 ? 1 : 0);
    double longest = 0;
    int status = 0, asked = 0;
    while (waitpid(writer, &status, WNOHANG) == 0) {
        const std::string missing = file + ".missing" + std::to_string(asked++);
        struct statx st;
        longest = std::max(longest, microseconds_of([&] {
                               check(statx(AT_FDCWD, file.c_str(), AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st), file);
                           }));
        longest = std::max(longest, microseconds_of([&] {
                               if (access(missing.c_str(), F_OK) == 0)
                                   throw std::runtime_error(missing + ": not missing");
                           }));
        usleep(500);
    }
    if (status != 0) throw std::runtime_error(file + ": can not be opened for writing");
    std::printf("beside-copy\t%.3f\n", longest);
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    try {
        if (words.size() == 2 && words[0] == "prepare") {
            prepare(words[1]);
        } else if (words.size() == 5 && words[0] == "prepare-tree") {
            prepare_tree(words[1], std::stoi(words[2]), std::stoi(words[3]), std::stoi(words[4]));
        } else if ((words.size() == 3 || words.size() == 4) && words[0] == "run") {
            Bench(words[1], words.size() == 4 ? std::stoi(words[3]) : 1).run(words[2]);
        } else if (words.size() == 3 && words[0] == "prepare-layer") {
            prepare_layer(words[1], words[2]);
        } else if (words.size() == 4 && words[0] == "bulk") {
            bulk(words[1], words[2], std::stoi(words[3]));
        } else if (words.size() == 3 && words[0] == "beside-copy") {
            beside_copy(words[1], words[2]);
        } else {
            std::fprintf(
                stderr,
                "usage: ops_bench prepare DIR | prepare-tree DIR FILES PER_FOLDER BYTES | run DIR ROW [THREADS] | "
                "prepare-layer DIR N | bulk DIR ROW COUNT | beside-copy DIR FILE\n");
            return 2;
        }
    } catch (const std::exception& e) {
        std::fprintf(stderr, "ops_bench: %s\n", e.what());
        return 1;
    }
    return 0;
}

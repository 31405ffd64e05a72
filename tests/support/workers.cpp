#include "support/workers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "support/check.h"
#include "support/files.h"

namespace plyfs::test {
namespace {

constexpr int kWorkers = 12;
constexpr int kKept = 10;  // of so many files one
// No error of the system.
constexpr int kNotWritten = 201, kOtherContent = 202;

std::string kept_name(int number) {
    return std::to_string(number * kKept) + ".b";
}

// 0, or the error.
int make_file(const std::string& path) {
    const int fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR, 0644);
    if (fd < 0) return errno;
    if (::write(fd, path.data(), path.size()) != static_cast<ssize_t>(path.size())) return kNotWritten;
    return ::close(fd) == 0 ? 0 : errno;
}

int use_file(const std::string& made) {
    const std::string file = made + ".b", dir = made + ".d", link = dir + "/l";
    if (::rename(made.c_str(), file.c_str()) != 0) return errno;
    if (::mkdir(dir.c_str(), 0755) != 0) return errno;
    if (::link(file.c_str(), link.c_str()) != 0) return errno;
    if (::unlink(link.c_str()) != 0) return errno;
    if (::rmdir(dir.c_str()) != 0) return errno;
    return 0;
}

int check_file(const std::string& made) {
    char text[4096] = {};
    const int fd = ::open((made + ".b").c_str(), O_RDONLY);
    if (fd < 0) return errno;
    if (::read(fd, text, sizeof text) != static_cast<ssize_t>(made.size()) || made != text) return kOtherContent;
    return ::close(fd) == 0 ? 0 : errno;
}

int work(const std::string& own, const std::string& stop) {
    if (::mkdir(own.c_str(), 0755) != 0) return errno;
    int made = 0;
    for (; ::access(stop.c_str(), F_OK) != 0; ++made) {
        const std::string at = own + "/" + std::to_string(made);
        if (const int error = make_file(at)) return error;
        if (const int error = use_file(at)) return error;
        if (const int error = check_file(at)) return error;
        if (made % kKept != 0 && ::unlink((at + ".b").c_str()) != 0) return errno;
    }
    for (int i = 0; i * kKept < made; ++i) {
        if (const int error = check_file(own + "/" + std::to_string(i * kKept))) return error;
    }
    return 0;
}

std::string folder_of(const std::string& dir, int worker) {
    return dir + "/w" + std::to_string(worker);
}

}  // namespace

Workers::Workers(std::string dir, const std::string& aside) : dir_(std::move(dir)), stop_(aside + "/stop") {
    for (int w = 0; w < kWorkers; ++w) {
        all_.push_back(std::make_unique<Child>([own = folder_of(dir_, w), stop = stop_] { return work(own, stop); }));
    }
}

void Workers::end() {
    write_file(stop_, "");
    for (auto& worker : all_) CHECK(worker->wait(60) == 0);
    for (int w = 0; w < kWorkers; ++w) {
        const auto left = list_dir(folder_of(dir_, w));
        for (std::size_t i = 0; i < left.size(); ++i) {
            CHECK(std::find(left.begin(), left.end(), kept_name(static_cast<int>(i))) != left.end());
        }
    }
}

}  // namespace plyfs::test

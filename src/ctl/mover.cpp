#include "ctl/mover.h"

#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "ctl/failure.h"
#include "ctl/text.h"

namespace plyfs::ctl {
namespace {

constexpr std::int64_t kPause = 100;  // milliseconds between two pictures
constexpr std::size_t kBar = 20;
constexpr std::size_t kLongestPath = 40;

std::int64_t now() {
    struct timespec time;
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1'000'000;
}

}  // namespace

std::string progress_text(std::uint64_t done, std::uint64_t all, double seconds) {
    const double share = all ? std::min(1.0, static_cast<double>(done) / static_cast<double>(all)) : 1;
    const auto full = static_cast<std::size_t>(share * kBar);
    const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
    std::string out =
        fmt::format("[{}{}] {:3.0f}%  {} of {}  {}/s", std::string(full, '#'), std::string(kBar - full, '-'),
                    share * 100, size_text(done), size_text(all), size_text(static_cast<std::uint64_t>(rate)));
    if (rate <= 0 || done >= all) return out;
    const auto left = static_cast<std::uint64_t>(static_cast<double>(all - done) / rate);
    if (left < 3600) return out + fmt::format("  {}:{:02} left", left / 60, left % 60);
    return out + fmt::format("  {}:{:02}:{:02} left", left / 3600, left / 60 % 60, left % 60);
}

Progress::Progress(std::uint64_t bytes) : shows_(::isatty(STDERR_FILENO) == 1), all_(bytes), began_(now()) {}

Progress::~Progress() {
    if (shows_) std::fputs("\r\033[K", stderr);
}

void Progress::add(std::uint64_t bytes, const std::string& path) {
    done_ += bytes;
    const std::int64_t time = now();
    if (!shows_ || time - shown_ < kPause) return;
    shown_ = time;
    std::string name = shown(path);
    if (name.size() > kLongestPath) name = "..." + name.substr(name.size() - kLongestPath);
    const auto seconds = static_cast<double>(time - began_) / 1000;
    std::fprintf(stderr, "\r%s  %s\033[K", progress_text(done_, all_, seconds).c_str(), name.c_str());
}

bool Mover::move(const std::vector<std::string>& paths, std::uint64_t bytes) {
    Json list = Json::array(), request;
    for (const auto& path : paths) list.push(path);
    request.add("command", "move").add("paths", std::move(list)).add("from", from_);
    if (!to_.empty()) request.add("to", to_);
    try {
        const Json answer = ask(mount_, request, Patience::endless);
        if (!answer["moved"].is_true()) {
            moved_.stayed.push_back({paths[0], answer["why"].text()});
            return false;
        }
    } catch (const Refused& refused) {
        moved_.stayed.push_back({paths[0], refused.what()});
        return false;
    }
    ++moved_.objects;
    moved_.bytes += bytes;
    return true;
}

std::uint64_t bytes_of(const OnDisk& object) {
    return object.is_dir() ? 0 : object.st.stx_blocks * 512;
}

int report(const Moved& moved, bool json, const std::string& text, const char* what) {
    if (json) {
        Json stayed = Json::array(), out;
        for (const auto& [path, why] : moved.stayed) {
            Json one;
            stayed.push(one.add("path", path).add("why", why));
        }
        out.add(what, moved.objects).add("bytes", moved.bytes);
        print_line(out.add("stayed", std::move(stayed)));
    } else {
        for (const auto& [path, why] : moved.stayed) print(shown(path) + " stays: " + shown(why) + "\n");
        print(text + "\n");
    }
    return moved.stayed.empty() ? 0 : 1;
}

}  // namespace plyfs::ctl

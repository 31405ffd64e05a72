// A file system without a disk whose handlers answer partly at once, partly from worker threads.
#include "ring_stress.h"

#define FUSE_USE_VERSION 317
#include <fuse_lowlevel.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace ring_stress {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Threads that live as long as the session: an unpatched libfuse submits from the thread that replies, and
// io_uring cancels what a thread has submitted when it exits.
class Workers {
  public:
    explicit Workers(int count) {
        for (int i = 0; i < count; ++i) threads_.emplace_back([this] { run(); });
    }
    ~Workers() {
        {
            std::lock_guard lock(mutex_);
            stop_ = true;
        }
        wake_.notify_all();
        for (auto& thread : threads_) thread.join();
    }
    void post(std::function<void()> job) {
        {
            std::lock_guard lock(mutex_);
            jobs_.push_back(std::move(job));
        }
        wake_.notify_one();
    }

  private:
    void run() {
        for (;;) {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
            if (jobs_.empty()) return;
            auto job = std::move(jobs_.front());
            jobs_.pop_front();
            lock.unlock();
            job();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> jobs_;
    std::vector<std::thread> threads_;
    bool stop_ = false;
};

Shared* shared = nullptr;
Workers* workers = nullptr;
bool passing_threads = false;

bool wait_for(const std::atomic<bool>& flag, Clock::duration limit) {
    for (auto end = Clock::now() + limit; !flag; std::this_thread::sleep_for(500us))
        if (Clock::now() > end) return false;
    return true;
}

// One request in four is answered at once; the others from a worker, some of these with a delay. A few are
// answered by a thread that ends then.
void answer(fuse_req_t req, std::function<void()> reply) {
    static std::atomic<std::uint64_t> counter{0};
    const std::uint64_t n = counter++;
    ++(fuse_req_is_uring(req) ? shared->ring_requests : shared->device_requests);
    if (n % 4 == 0) return reply();
    if (passing_threads && n % 256 == 3) return std::thread(std::move(reply)).detach();
    workers->post([n, reply = std::move(reply)] {
        if (shared->aborting) std::this_thread::sleep_for(std::chrono::milliseconds(n % 20));
        if (n % 64 == 1) std::this_thread::sleep_for(std::chrono::microseconds(n % 251));
        ++shared->offthread_replies;
        reply();
    });
}

struct stat attributes(fuse_ino_t ino) {
    struct stat st {};
    st.st_ino = ino;
    st.st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644;
    st.st_nlink = 1;
    st.st_size = static_cast<off_t>(size_of(ino));
    return st;
}

void reply_attributes(fuse_req_t req, fuse_ino_t ino) {
    const struct stat st = attributes(ino);
    fuse_reply_attr(req, &st, 0);
}

void on_init(void*, fuse_conn_info*) {
    shared->initialised = true;
}

void on_lookup(fuse_req_t req, fuse_ino_t, const char* name) {
    fuse_entry_param entry{};
    if (std::strcmp(name, "slow") == 0) entry.ino = kSlow;
    if (std::strcmp(name, "block") == 0) entry.ino = kBlock;
    if (std::strcmp(name, "hog") == 0) entry.ino = kHog;
    if (name[0] == 'f') entry.ino = kFirstFile + static_cast<unsigned>(std::atoi(name + 1)) % kFiles;
    entry.entry_timeout = entry.ino < kFirstFile ? 100 : 0;
    entry.attr = attributes(entry.ino);
    answer(req, [req, entry] { entry.ino ? fuse_reply_entry(req, &entry) : fuse_reply_err(req, ENOENT); });
}

void answer_slow(fuse_req_t req) {
    shared->slow_held = true;
    wait_for(shared->block_entered, 5s);
    const auto start = Clock::now();
    reply_attributes(req, kSlow);
    shared->slow_reply_us = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count();
}

void answer_block(fuse_req_t req) {
    shared->block_entered = true;
    if (!wait_for(shared->slow_answered, 3s)) shared->block_gave_up = true;
    reply_attributes(req, kBlock);
}

// After its answer the worker waits for a child in the kernel, where nothing but a kill wakes it: as in a
// slow fsync.
void answer_hog(fuse_req_t req) {
    std::this_thread::sleep_for(20ms);  // the ring's thread is idle again
    reply_attributes(req, kHog);
    if (const pid_t child = vfork(); child == 0) {
        usleep(kHogMs * 1000);
        _exit(0);
    }
}

void on_getattr(fuse_req_t req, fuse_ino_t ino, fuse_file_info*) {
    if (ino == kSlow) return workers->post([req] { answer_slow(req); });
    if (ino == kBlock) return answer_block(req);
    if (ino == kHog) return workers->post([req] { answer_hog(req); });
    answer(req, [req, ino] { reply_attributes(req, ino); });
}

void on_open(fuse_req_t req, fuse_ino_t ino, fuse_file_info* info) {
    fuse_file_info opened = *info;
    opened.fh = ino;
    opened.direct_io = 1;
    opened.noflush = 1;
    answer(req, [req, opened] { fuse_reply_open(req, &opened); });
}

void on_read(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* info) {
    std::uint64_t words[kReadSize / sizeof(std::uint64_t)];
    for (auto& word : words) word = word_of(info->fh, static_cast<std::uint64_t>(offset));
    std::string bytes(reinterpret_cast<const char*>(words), std::min(size, sizeof words));
    answer(req, [req, bytes] { fuse_reply_buf(req, bytes.data(), bytes.size()); });
}

void on_release(fuse_req_t req, fuse_ino_t, fuse_file_info*) {
    answer(req, [req] { fuse_reply_err(req, 0); });
}

}  // namespace

int serve(const std::string& mountpoint, const Options& options, Shared& state) {
    shared = &state;
    passing_threads = options.patched;
    fuse_lowlevel_ops ops{};
    ops.init = on_init;
    ops.lookup = on_lookup;
    ops.getattr = on_getattr;
    ops.open = on_open;
    ops.read = on_read;
    ops.release = on_release;

    const std::string o = "-oio_uring,fsname=ring_stress,io_uring_q_depth=" + std::to_string(options.depth);
    const char* argv[] = {"ring_stress", o.c_str(), nullptr};
    fuse_args args = FUSE_ARGS_INIT(2, const_cast<char**>(argv));
    fuse_session* session = fuse_session_new(&args, &ops, sizeof ops, nullptr);
    if (!session || fuse_session_mount(session, mountpoint.c_str()) != 0) return 2;
    fuse_loop_config* config = fuse_loop_cfg_create();
    int result;
    {
        Workers threads(options.workers);
        workers = &threads;
        result = fuse_session_loop_mt(session, config);
    }
    fuse_loop_cfg_destroy(config);
    fuse_session_unmount(session);
    fuse_session_destroy(session);
    fuse_opt_free_args(&args);
    return result == 0 || state.aborting ? 0 : 3;
}

}  // namespace ring_stress

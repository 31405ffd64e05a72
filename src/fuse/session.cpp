#include "fuse/session.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <thread>
#include <vector>

#include "base/log.h"
#include "branch/probe.h"
#include "fuse/handlers.h"
#include "fuse/handover.h"
#include "fuse/kernel_cache.h"
#include "fuse/passthrough.h"
#include "fuse/server.h"
#include "ops/revive.h"
#include "sys/guard.h"
#include "sys/mounted.h"
#include "sys/open.h"

namespace plyfs::fuse {
namespace {

// Requests a processor may have under way over its ring; those that wait for a disk keep their place. Memory for the
// longest request is set aside for each, and only used ones take any.
constexpr int kRingDepth = 32;
// Copies, fsyncs and waiting opens: more threads than processors, because they sleep in the kernel.
constexpr std::size_t kExecutorThreads = 16;
// Threads that read requests from /dev/fuse. They stay: libfuse ends those above its idle limit after every request,
// and one made anew for the next costs more than most requests. While nobody leads (sys/busy_reader.h) two clients have
// made seven of them, and more than a few only wake up cold in turn.
constexpr unsigned kMinReaders = 8;
constexpr unsigned kMaxReaders = 16;
// As long as all of those are busy, further ones come and go: they may all be waiting for a branch that hangs.
constexpr unsigned kMostReaders = 512;

// Commas and backslashes in a value would end it for libfuse's option parser.
std::string escaped(const std::string& value) {
    std::string out;
    for (char c : value) {
        if (c == ',' || c == '\\') out += '\\';
        out += c;
    }
    return out;
}

constexpr std::string_view kMaxRead = "max_read=";

// The word of mount(2), or what one request may have at all. libfuse has to be told it twice: by its options, and again
// at INIT.
std::optional<std::uint32_t> max_read(const config::Config& config) {
    std::optional<std::uint32_t> most;
    if (config.max_request > 0) most = static_cast<std::uint32_t>(config.max_request);
    for (const auto& word : config.kernel_options) {
        if (!word.starts_with(kMaxRead)) continue;
        most = static_cast<std::uint32_t>(std::strtoul(word.c_str() + kMaxRead.size(), nullptr, 10));
    }
    return most;
}

std::string mount_options(const config::Config& config, bool io_uring) {
    std::string out =
        "subtype=" + escaped(config.subtype) + ",fsname=" + escaped(config.fsname.empty() ? "plyfs" : config.fsname);
    if (config.allow_other) out += ",allow_other";
    if (config.default_permissions) out += ",default_permissions";
    if (config.read_only) out += ",ro";
    out += config.dev ? ",dev" : ",nodev";
    out += config.suid ? ",suid" : ",nosuid";
    if (!config.exec) out += ",noexec";
    if (const auto most = max_read(config)) out += ",max_read=" + std::to_string(*most);
    for (const auto& word : config.kernel_options) {
        if (!word.starts_with(kMaxRead)) out += "," + escaped(word);
    }
    if (io_uring) out += ",io_uring,io_uring_q_depth=" + std::to_string(kRingDepth);
    return out;
}

}  // namespace

struct Session::Impl {
    Impl(const config::Config& config, Tree& tree_, TransportChoice transport_, DepthChoice depth_,
         Supervision* supervision_)
        : transport(std::move(transport_)),
          depth(std::move(depth_)),
          mountpoint(config.mountpoint),
          options(mount_options(config, transport.io_uring)),
          debug(config.debug),
          layered(config.layered),
          acls(config.layers.acls && config.layers.xattrs && config.pool.files.acls &&
               config.pool.files.xattrs != config::Xattrs::nosys),
          files(config.pool.files),
          most_read(max_read(config)),
          max_request(config.max_request),
          reader_threads(config.reader_threads),
          read_ahead_kib(config.read_ahead_kib),
          supervision(supervision_),
          registrar(tree_.counters()),
          server(config, tree_, registrar, !transport.io_uring, kExecutorThreads,
                 supervision_ ? &supervision_->ledger : nullptr) {
        server.facts.transport = transport.io_uring ? "io_uring" : "devfuse";
        server.facts.transport_reason = transport.reason;
        server.facts.max_stack_depth = depth.passthrough ? std::to_string(depth.depth) : "off";
        server.facts.depth_reason = depth.reason;
        server.owner = this;
        // The kernel compares 32 bits of it; 0 is the root's, which is the same in every mount.
        if (files.handles) server.ctx.generation = 1 + (Tree::next_random() & 0x7fffffff);
        server.takeover.begin(supervision);
        if (supervision) {
            if (supervision->takes_over()) {
                server.ctx.generation = supervision->ledger.generation();
            } else {
                supervision->ledger.generation() = server.ctx.generation;
            }
        }
        // Without a supervisor it is written down when somebody wants it.
        if (is_supervised()) tree_.nodes().keep_told(&supervision->told);
        server.leave_late = [this] { return leave_late(); };
        server.facts.takeovers = server.takeover.count();
        if (is_supervised()) server.facts.supervisor = ::getppid();
        add_name_handlers(table);
        add_attribute_handlers(table);
        add_file_handlers(table);
        add_dir_handlers(table);
        server.forwards_locks = config.locks == config::Locks::forward;
        if (server.forwards_locks) add_lock_handlers(table);
        table.init = [](void* data, fuse_conn_info* conn) {
            static_cast<Impl*>(static_cast<Server*>(data)->owner)->init(*conn);
        };
    }

    void init(fuse_conn_info& conn);
    void set_page_rule(fuse_conn_info& conn);
    bool is_supervised() const { return supervision && supervision->is_supervised(); }
    std::string leave_late();
    void set_guard();
    bool read_by_ourselves(int device);
    bool mount(std::string& failure);
    bool take_over(std::string& failure);
    Result<UniqueFd> open_abort() const;
    std::vector<BorrowedFd> connection(const Result<UniqueFd>& abort) const;
    bool hand_over_connection(std::string& failure);
    void let_supervisor_go();
    void detach();
    void end();
    void unmount();
    void set_read_ahead(fuse_conn_info& conn) const;
    void mind_overdue();
    std::function<std::string(const control::Succession&)> succession();

    TransportChoice transport;
    DepthChoice depth;
    std::string mountpoint;
    std::string options;
    bool debug;
    bool layered;
    bool acls;
    const config::FileOptions files;
    const std::optional<std::uint32_t> most_read;
    const std::uint64_t max_request;
    const int reader_threads;
    const std::optional<unsigned> read_ahead_kib;
    Supervision* const supervision;  // null: no daemon can follow this one
    PassthroughRegistrar registrar;
    Server server;
    fuse_lowlevel_ops table = {};
    fuse_session* session = nullptr;
    std::function<void(const std::string&)> ready;
    std::function<void()> leave = [] { ::_exit(0); };
    bool mounted = false;
    bool by_helper = false;  // to be unmounted
    std::unique_ptr<SessionCache> cache;
    std::unique_ptr<ChangeWatch> changes;
    std::optional<sys::Guard> guard;
};

// The kernel takes the lesser of what it is told now and what the mount has.
void Session::Impl::set_read_ahead(fuse_conn_info& conn) const {
    const auto mount = sys::find_mounted(mountpoint);
    if (!mount || !sys::set_read_ahead(mount->device, *read_ahead_kib)) {
        log::debug("readahead: the mount has none to be set");
    }
    conn.max_readahead = std::max<std::uint32_t>(*read_ahead_kib * 1024, 4096);
}

// libfuse reads /dev/fuse by way of our reader from now on. False: it was built without that, and reads by itself.
bool Session::Impl::read_by_ourselves(int device) {
    if (!server.reader.looks_out() && !supervision) return true;
    fuse_custom_io io = {};
    io.read = [](int from, void* buffer, std::size_t size, void* data) {
        return static_cast<Server*>(data)->takeover.read(from, buffer, size);
    };
    io.writev = [](int to, iovec* parts, int count, void* data) {
        return static_cast<Server*>(data)->takeover.write(to, parts, count);
    };
    return fuse_session_custom_io(session, &io, sizeof io, device) == 0;
}

bool Session::Impl::mount(std::string& failure) {
    if (fuse_session_mount(session, mountpoint.c_str()) != 0) {
        failure = mountpoint + ": the mount was refused";
        return false;
    }
    mounted = true;
    if (transport.io_uring || read_by_ourselves(fuse_session_fd(session))) {
        return !is_supervised() || hand_over_connection(failure);
    }
    if (is_supervised()) failure = "supervise=on can not be had: libfuse was built without custom-io";
    log::info("busy-poll has no effect: libfuse was built without custom-io");
    if (supervision) supervision->late = nullptr;
    return !is_supervised();
}

// The session owns the descriptor from now on, and libfuse has nothing mounted that it would unmount.
bool Session::Impl::take_over(std::string& failure) {
    mounted = true;
    if (read_by_ourselves(supervision->device.get())) {
        supervision->device.release();
        return true;
    }
    failure = "the connection to the kernel can not be taken over";
    return false;
}

Result<UniqueFd> Session::Impl::open_abort() const {
    const auto at = sys::find_mounted(mountpoint);
    return at ? sys::open_abort(at->device) : Result<UniqueFd>(Errno(ENOENT));
}

// For whoever keeps it, with what aborts it if that could be opened.
std::vector<BorrowedFd> Session::Impl::connection(const Result<UniqueFd>& abort) const {
    std::vector<BorrowedFd> out{BorrowedFd(fuse_session_fd(session))};
    if (abort) out.push_back(*abort);
    return out;
}

bool Session::Impl::hand_over_connection(std::string& failure) {
    const auto abort = open_abort();
    const auto sent = sys::send_word(supervision->line, kKeep, connection(abort));
    if (!sent) failure = "the supervisor can not be told: " + log::errno_text(sent.error().value());
    return sent.has_value();
}

// Who has the connection open keeps it from ending when we close it.
void Session::Impl::let_supervisor_go() {
    if (!is_supervised() || !sys::send_word(supervision->line, kEnds)) return;
    if (!sys::receive_word(supervision->line)) log::debug("the supervisor is gone");
}

// Nobody is in the middle of anything.
std::string Session::Impl::leave_late() {
    server.takeover.write_down_backings();
    ops::tell_all(server.ctx, supervision->told);
    const auto abort = open_abort();
    std::string why = supervision->late->leave(connection(abort));
    // It would take the end of this process for that of the mount.
    if (why.empty()) guard.reset();
    return why;
}

void Session::Impl::unmount() {
    let_supervisor_go();
    detach();
}

// Who still answers must not find the session gone. What is left to be done may take long, and the mount is gone by
// then; only where it takes fusermount3 to undo it, which libfuse knows, it comes last.
void Session::Impl::end() {
    server.executor.finish();
    server.lock_waiter.stop();
    if (!session) return;
    if (by_helper) fuse_session_unmount(session);
    fuse_session_destroy(session);
}

// Nothing is left to be done after an umount, and the connection ends first, so that nobody waits for an answer of
// ours. The number of its descriptor stays taken: who still answers must not write into another file.
void Session::Impl::detach() {
    pollfd device{fuse_session_fd(session), POLLIN, 0};
    const bool ended = ::poll(&device, 1, 0) == 1 && (device.revents & POLLERR) != 0;
    if (auto nowhere = sys::open_nowhere(); nowhere) {
        if (!sys::replace(BorrowedFd(device.fd), *nowhere)) log::debug("the connection is kept");
    }
    if (ended) return;
    const auto done = sys::detach_mount(mountpoint);
    by_helper = done.failed_with(EPERM) && server.takeover.count() == 0;
    if (!done && !by_helper) {
        log::warn("{} can not be unmounted: {}", mountpoint, log::errno_text(done.error().value()));
    }
}

// Without one nobody may tell the kernel of names.
void Session::Impl::set_guard() {
    if (!changes) return;
    const auto mount = sys::find_mounted(mountpoint);
    auto made = is_supervised() ? sys::Guard::start_telling(supervision->line)
                : mount         ? sys::Guard::start(mount->device)
                                : Errno(ENOENT);
    if (made) {
        guard.emplace(std::move(*made));
        return;
    }
    changes.reset();
    cache->trust(false);
    server.facts.coherence = "timeout";
    server.facts.coherence_reason = "the connection can not be guarded: " + log::errno_text(made.error().value());
}

// Of files that the daemon reads and writes. Left to itself the kernel drops all pages of a file as soon as it sees
// that its time of change is another one, also where that is from its own write. Each read after a write then comes to
// the daemon; and a page that is dropped after a write(2) has filled it, but before the daemon has written it, is read
// from the branch as it was, so that for a moment who wrote is given the old bytes. Layers are changed by nobody else,
// and keep their pages until an open finds other content (ops/open). Of a pool what others write has to be seen.
void Session::Impl::set_page_rule(fuse_conn_info& conn) {
    if (layered) fuse_unset_feature_flag(&conn, FUSE_CAP_AUTO_INVAL_DATA);
    const bool own = layered && fuse_set_feature_flag(&conn, FUSE_CAP_EXPLICIT_INVAL_DATA);
    server.ctx.exclusive = own;
    if (!own) fuse_set_feature_flag(&conn, FUSE_CAP_AUTO_INVAL_DATA);
}

void Session::Impl::init(fuse_conn_info& conn) {
    for (std::uint64_t flag : {FUSE_CAP_HANDLE_KILLPRIV_V2, FUSE_CAP_PARALLEL_DIROPS, FUSE_CAP_DONT_MASK,
                               FUSE_CAP_READDIRPLUS, FUSE_CAP_READDIRPLUS_AUTO, FUSE_CAP_EXPIRE_ONLY,
                               FUSE_CAP_ATOMIC_O_TRUNC, FUSE_CAP_IOCTL_DIR, FUSE_CAP_ASYNC_READ}) {
        if (!fuse_set_feature_flag(&conn, flag)) log::debug("the kernel does not offer FUSE feature {:#x}", flag);
    }
    // After an asynchronous direct write the kernel leaves the pages that were read meanwhile as they are.
    fuse_unset_feature_flag(&conn, FUSE_CAP_ASYNC_DIO);
    set_page_rule(conn);
    const std::uint64_t handles = files.handles ? FUSE_CAP_EXPORT_SUPPORT : FUSE_CAP_NO_EXPORT_SUPPORT;
    const std::uint64_t no_handles = files.handles ? FUSE_CAP_NO_EXPORT_SUPPORT : FUSE_CAP_EXPORT_SUPPORT;
    fuse_unset_feature_flag(&conn, no_handles);
    if (!fuse_set_feature_flag(&conn, handles)) log::debug("the kernel leaves file handles as they are");
    if (!files.keep_targets) {
        fuse_unset_feature_flag(&conn, FUSE_CAP_CACHE_SYMLINKS);
    } else if (!fuse_set_feature_flag(&conn, FUSE_CAP_CACHE_SYMLINKS)) {
        log::debug("the kernel does not keep targets of symbolic links");
    }
    if (most_read) conn.max_read = *most_read;
    if (max_request > 0) conn.max_write = static_cast<std::uint32_t>(max_request);
    if (read_ahead_kib) set_read_ahead(conn);
    if (!acls) {
        fuse_unset_feature_flag(&conn, FUSE_CAP_POSIX_ACL);
    } else if (!fuse_set_feature_flag(&conn, FUSE_CAP_POSIX_ACL)) {
        log::debug("the kernel does not offer ACLs over FUSE");
    }
    if (server.forwards_locks) {
        for (std::uint64_t flag : {FUSE_CAP_POSIX_LOCKS, FUSE_CAP_FLOCK_LOCKS}) fuse_set_feature_flag(&conn, flag);
    }
    // A write-back cache rules passthrough out, and splicing is for data that comes through us.
    for (std::uint64_t flag : {FUSE_CAP_WRITEBACK_CACHE, FUSE_CAP_SPLICE_READ, FUSE_CAP_SPLICE_WRITE,
                               FUSE_CAP_SPLICE_MOVE, FUSE_CAP_HANDLE_KILLPRIV, FUSE_CAP_DIRECT_IO_ALLOW_MMAP}) {
        fuse_unset_feature_flag(&conn, flag);
    }
    conn.time_gran = 1;
    const bool passthrough = depth.passthrough && fuse_set_feature_flag(&conn, FUSE_CAP_PASSTHROUGH);
    if (passthrough) {
        conn.max_backing_stack_depth = static_cast<std::uint32_t>(depth.depth);
        registrar.enable(session);
    } else {
        server.facts.max_stack_depth = "off";
        if (depth.passthrough) {
            server.facts.depth_reason = "the kernel does not offer FUSE passthrough (Linux 6.9)";
            log::warn("no passthrough: {}", server.facts.depth_reason);
        }
    }
    const bool taken = server.takeover.count() > 0;
    if (taken) server.takeover.resume_files(server.ctx);
    // From now on the kernel can be told.
    server.changes = changes.get();
    if (changes) changes->start(*cache, taken && supervision->ledger.is_trial());
    const auto& facts = server.facts;
    if (ready) {
        ready(fmt::format("{} {}: transport {} ({}), stacking depth {} ({}), coherence {} ({})",
                          taken ? "took over" : "mounted on", mountpoint, facts.transport, facts.transport_reason,
                          facts.max_stack_depth, facts.depth_reason, facts.coherence, facts.coherence_reason));
    }
}

Session::Session(const config::Config& config, Tree& tree, TransportChoice transport, DepthChoice depth,
                 Supervision* supervision)
    : impl_(std::make_unique<Impl>(config, tree, std::move(transport), std::move(depth), supervision)) {}

Session::~Session() {
    unmount();
    impl_->end();
}

void Session::watch_changes(std::unique_ptr<ChangeWatch> watch, std::string reason) {
    impl_->server.facts.coherence = watch ? "watch" : "timeout";
    impl_->server.facts.coherence_reason = std::move(reason);
    impl_->changes = std::move(watch);
}

bool Session::mount(std::string& failure) {
    std::vector<std::string> words{"plyfs", "-o", impl_->options};
    if (impl_->debug) words.push_back("-d");
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    fuse_args args = FUSE_ARGS_INIT(static_cast<int>(argv.size()), argv.data());
    impl_->session = fuse_session_new(&args, &impl_->table, sizeof impl_->table, &impl_->server);
    fuse_opt_free_args(&args);
    if (!impl_->session) {
        failure = "libfuse did not accept the mount options: " + impl_->options;
        return false;
    }
    const bool takes_over = impl_->supervision && impl_->supervision->takes_over();
    if (!(takes_over ? impl_->take_over(failure) : impl_->mount(failure))) return false;
    impl_->cache = std::make_unique<SessionCache>(
        impl_->session, impl_->mountpoint,
        [&server = impl_->server](bool watched) { server.control.set_watched(server.ctx, watched); });
    impl_->server.ctx.kernel_cache = impl_->cache.get();
    return true;
}

control::Mount Session::control(std::function<control::ReadAgain()> read_config) {
    Server& server = impl_->server;
    return {server.ctx,
            server.requests,
            server.facts,
            server.control,
            std::move(read_config),
            impl_->succession(),
            [&server] { leave_to_next(server); },
            [&server] { return server.has_answered.load(); },
            [&server](std::function<void()> work) { server.executor.post(std::move(work)); }};
}

void Session::when_stuck(std::function<void()> leave) {
    impl_->leave = std::move(leave);
}

std::function<std::string(const control::Succession&)> Session::Impl::succession() {
    if (!supervision || !server.takeover.can_be_followed()) return {};
    return [this](const control::Succession& to) { return hand_over(server, to); };
}

// Of layers on this machine's disks none is looked after.
void Session::Impl::mind_overdue() {
    const auto all = server.ctx.tree.set().all();
    const bool network = std::any_of(all.begin(), all.end(), [](const auto& branch) { return branch->network(); });
    if (layered && !network) return;
    server.overdue.start({[this] { server.executor.relieve(); }, [this] { return fuse_session_exited(session) != 0; },
                          [this] {
                              log::warn("the end: requests that wait for a branch are left behind");
                              unmount();
                              leave();
                          }});
}

int Session::serve(const std::function<void(const std::string& how)>& ready) {
    impl_->ready = ready;
    if (fuse_set_signal_handlers(impl_->session) != 0) return 1;
    impl_->set_guard();
    impl_->mind_overdue();
    fuse_loop_config* loop = fuse_loop_cfg_create();
    const unsigned wanted = static_cast<unsigned>(impl_->reader_threads);
    const unsigned threads =
        wanted > 0 ? wanted : std::clamp(std::thread::hardware_concurrency(), kMinReaders, kMaxReaders);
    fuse_loop_cfg_set_max_threads(loop, wanted > 0 ? threads : kMostReaders);
    fuse_loop_cfg_set_idle_threads(loop, threads);
    fuse_loop_cfg_set_clone_fd(loop, 0);
    const int ended = fuse_session_loop_mt(impl_->session, loop);
    fuse_loop_cfg_destroy(loop);
    // The supervisor hands on what it is told, and whoever told both means one end.
    if (impl_->is_supervised()) {
        for (int which : {SIGTERM, SIGINT, SIGHUP}) ::signal(which, SIG_IGN);
    }
    fuse_remove_signal_handlers(impl_->session);
    if (impl_->changes) impl_->changes->stop();
    impl_->server.overdue.stop();
    impl_->guard.reset();
    // Positive: a signal; both that and an umount are an orderly end.
    return ended < 0 ? 1 : 0;
}

void Session::unmount() {
    if (!impl_->mounted) return;
    impl_->mounted = false;
    impl_->unmount();
}

std::string libfuse_version() {
    return fuse_pkgversion();
}

void print_protocol() {
    fuse_lowlevel_version();
}

}  // namespace plyfs::fuse

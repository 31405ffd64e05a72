// The composition root: from a command line to a served mount.
//
// The process that was started waits until the mount answers, so that whoever mounts can use it at once; the daemon is
// its child from the very beginning, because locks and threads do not survive a fork. Errors reach the terminal from
// either.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <optional>
#include <thread>

#include "app/command_line.h"
#include "app/daemonize.h"
#include "app/texts.h"
#include "base/log.h"
#include "branch/probe.h"
#include "config/validate.h"
#include "fuse/session.h"
#include "node/branch_watch.h"
#include "node/change_watch.h"
#include "node/tree.h"
#include "overlay/index.h"
#include "overlay/origins.h"
#include "overlay/upper.h"
#include "overlay/upper_format.h"
#include "overlay/workdir.h"
#include "sys/cred.h"
#include "sys/lock.h"
#include "sys/mounted.h"
#include "sys/open.h"

namespace plyfs::app {
namespace {

// What mount(8) expects of its helpers.
constexpr int kExitSystem = 2;
constexpr int kExitMount = 32;

// A share of the descriptor limit for what is kept open only to save opening it again; the rest is for open files.
constexpr std::size_t kMaxKept = 1500;

std::size_t descriptor_budget() {
    struct rlimit limit;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) log::debug("the descriptor limit can not be raised");
    return std::min<std::size_t>(kMaxKept, limit.rlim_cur / 8);
}

const Name kWorkName = *Name::parse("work");

const char* called_as = "plyfs";  // what messages begin with

void say(const std::string& line) {
    std::cerr << called_as << ": " << log::in_one_line(line) << "\n";
}

int fail(int code, const std::string& line) {
    say(line);
    return code;
}

int print_version(const config::Config& config) {
    VersionFacts facts;
    facts.libfuse = fuse::libfuse_version();
    const auto transport = fuse::choose_transport(config.transport, config.locks);
    facts.transport = transport.io_uring ? "io_uring" : "devfuse";
    facts.transport_reason = transport.reason;
    facts.passthrough = true;
    facts.passthrough_reason = "by libfuse; the kernel must be Linux 6.9 or newer, and we root";
    facts.stack_depth = "auto (0 over plain file systems, 1 over a branch that is itself stacked)";
    std::cout << version_text(facts, called_as) << std::flush;
    fuse::print_protocol();
    return 0;
}

// Whether no earlier mount has left a mark that forbids this one. fuse-overlayfs knows no such marks, so called by that
// name nothing is refused.
bool is_compatible(const config::Config& config, BorrowedFd parent, std::string& failure) {
    const auto mark = find_incompatible(parent, kWorkName);
    if (!mark || mark->empty()) return true;
    if (config.drop_in) {
        log::debug("workdir={}: the mark {} of another mount is passed over", config.workdir, *mark);
        return true;
    }
    const std::string place = config.workdir + "/work/incompat/" + *mark;
    failure =
        *mark == "volatile"
            ? "upperdir=" + config.branches[0].path +
                  " was mounted volatile and may be incomplete if the machine has crashed since; remove " + place +
                  " to use it all the same"
            : "workdir=" + config.workdir + " is in use by a feature that is not known here; its mark is " + place;
    return false;
}

// umount(2) does not wait for the daemon, so that the mount before this one may still be letting go of what it has
// locked.
template <typename Lock>
auto when_let_go(Lock lock) {
    constexpr std::chrono::seconds kLongest{3};
    constexpr std::chrono::milliseconds kPause{5};
    const auto latest = std::chrono::steady_clock::now() + kLongest;
    auto locked = lock();
    while (!locked && locked.failed_with(EBUSY) && std::chrono::steady_clock::now() < latest) {
        std::this_thread::sleep_for(kPause);
        locked = lock();
    }
    return locked;
}

// The user's workdir holds a directory "work", as overlayfs makes it, so that the kernel can mount the same upper.
std::unique_ptr<WorkDir> open_workdir(const config::Config& config, const OwnMount& own, std::string& failure) {
    auto parent = own.open(config.workdir);
    auto work = parent ? when_let_go([&] { return WorkDir::open(*parent, kWorkName); }) : parent.error();
    if (work) {
        if (!is_compatible(config, *parent, failure)) return nullptr;
        for (const auto& lack : find_lacks(*parent, kWorkName)) {
            log::warn("upperdir {}: its file system {}", config.branches[0].path, lack);
        }
        return std::move(*work);
    }
    if (work.failed_with(EBUSY)) {
        auto dir = sys::open_dir_path(*parent, kWorkName);
        const int holder = dir ? lock_holder(*dir) : 0;
        failure = "workdir=" + config.workdir + " is in use by another mount" +
                  (holder ? " (pid " + std::to_string(holder) + ")" : "") +
                  ": umount that one, or give each mount a workdir and upperdir of its own";
    } else {
        failure = "workdir=" + config.workdir + " can not be used: " + log::errno_text(work.error().value());
    }
    return nullptr;
}

// Two mounts on one upper would each believe that nobody else changes it, whatever their work directories.
Result<UniqueFd> lock_upper(const config::Config& config, const OwnMount& own, std::string& failure) {
    auto root = TRY(own.open(config.branches[0].path));
    auto lock = TRY(sys::open_dir_for_reading(root));
    auto alone = when_let_go([&] { return sys::lock_alone(lock); });
    if (alone) return lock;
    const int holder = lock_holder(lock);
    failure = "upperdir=" + config.branches[0].path + " is in use by another mount" +
              (holder ? " (pid " + std::to_string(holder) + ")" : "") +
              ": umount that one, or give each mount a workdir and upperdir of its own";
    return alone.error();
}

// False: refused, and why. No index without an order for one is no failure.
bool open_index(const config::Config& config, const OwnMount& own, bool writable,
                const std::shared_ptr<const Origins>& origins, std::unique_ptr<Index>& index, std::string& failure) {
    using Wanted = config::Index;
    if (config.layers.index == Wanted::off) return true;
    Index::Refusal refusal;
    bool exists = false;  // names of changed files may be known to it alone
    if (auto workdir = own.open(config.workdir)) {
        const auto make = !writable                           ? Index::Make::never
                          : config.layers.index == Wanted::on ? Index::Make::now
                                                              : Index::Make::when_needed;
        index = Index::open(origins, *workdir, make, refusal);
        if (index) return true;
        exists = sys::open_dir_path(*workdir, *Name::parse("index")).has_value();
    } else {
        refusal.why = "workdir=" + config.workdir + ": " + log::errno_text(workdir.error().value());
    }
    if (config.layers.index == Wanted::on) {
        failure = "index=on can not be had: " + refusal.why;
        return false;
    }
    if (refusal.stale || exists) {
        log::warn("index=off, hard links of changed files may show the old file: {}", refusal.why);
    } else {
        log::debug("index=off: {}", refusal.why);
    }
    return true;
}

// Threads made later have it too.
void take_niceness(int niceness) {
    if (niceness == 0) return;
    if (::setpriority(PRIO_PROCESS, 0, niceness) != 0) log::warn("scheduling-priority={} is refused", niceness);
}

// Of the branches' devices; the mount's own is set by its session.
void set_read_ahead(const config::Config& config, const BranchSet& set) {
    if (!config.read_ahead_kib) return;
    for (const auto& branch : set.all()) {
        if (!branch->present()) continue;
        auto done = sys::set_read_ahead(branch->device(), *config.read_ahead_kib);
        if (!done) log::debug("readahead: the device of {} has none to be set", branch->path());
    }
}

void choose_log(const config::Config& config) {
    const bool to_file = !config.log_file.empty();
    if (to_file && log::to_file(config.log_file)) return;
    if (to_file) log::warn("log.file={} can not be written; the log goes to syslog", config.log_file);
    if (!config.foreground) log::to_syslog();
}

// Whoever is killed leaves a mount that answers nothing. What is no FUSE mount is left alone.
void detach_old_mount(const config::Config& config) {
    const auto old = sys::find_mounted(config.mountpoint);
    if (!old || !old->type.starts_with("fuse")) return;
    if (auto gone = sys::detach_mount(config.mountpoint); !gone) {
        say("lazy-umount-mountpoint: " + config.mountpoint + ": " + log::errno_text(gone.error().value()));
    }
}

// A pool that takes no new file from the start has the wrong limit more often than full disks.
void tell_if_full(const config::Config& config, const BranchSet& set) {
    if (config.layered) return;
    bool any = false;
    for (const auto& branch : set.all()) {
        if (!branch->present() || !branch->takes_new_names()) continue;
        const Space space = branch->space();
        if (space.available >= space.reserve) return;
        any = true;
    }
    if (any) log::warn("new files are refused (ENOSPC): no branch has as much free as minfreespace asks for");
}

// Null: what others change on the branches is seen when the timeouts are over.
std::unique_ptr<ChangeWatch> watch_changes(const config::Config& config, Tree& tree, std::string& why) {
    why = config.layered ? "nobody else changes layers" : "asked for";
    if (config.layered || config.coherence == config::Coherence::timeout) return nullptr;
    auto watch = ChangeWatch::make(tree, why);
    if (watch && config.coherence == config::Coherence::automatic) why = "the kernel tells of all branches";
    return watch;
}

int serve(config::Config config, Readiness& readiness) {
    take_niceness(config.niceness);
    ProbeFailure probe;
    const bool changes_layers = config.layered && !config.workdir.empty() && !config.read_only;
    const auto own = changes_layers ? OwnMount::around(config.branches[0].path, config.workdir) : OwnMount();
    const auto set = probe_branches(config, own, probe);
    if (!set) return fail(kExitMount, probe.message);
    std::unique_ptr<WorkDir> workdir;
    UniqueFd upper_lock;
    if (!config.workdir.empty() && set->any_writable()) {
        std::string failure;
        workdir = open_workdir(config, own, failure);
        if (!workdir) return fail(kExitMount, failure);
        // Other pools may use a branch as well.
        if (config.layered) {
            auto lock = lock_upper(config, own, failure);
            if (!lock) return fail(kExitMount, failure.empty() ? log::errno_text(lock.error().value()) : failure);
            upper_lock = std::move(*lock);
        }
        if (!config.layers.sync && !config.drop_in) {
            if (auto marked = mark_volatile(workdir->fd()); !marked) {
                return fail(kExitMount, "workdir=" + config.workdir + " can not be marked as volatile: " +
                                            log::errno_text(marked.error().value()));
            }
        }
    }
    if (workdir && config.layered) {
        std::string failure;
        MarkRules rules = set->marks();
        if (!choose_upper_format(*workdir, config.layers, rules, failure)) return fail(kExitMount, failure);
        set->set_marks(rules);
        log::debug("marks are written as {}", format_text(rules));
    }
    std::shared_ptr<const Origins> origins;
    std::unique_ptr<Index> index;
    if (set->rules().keeps_inodes && set->size() > 1 && !config.workdir.empty()) {
        origins = std::make_shared<const Origins>(set);
        std::string failure;
        if (!open_index(config, own, set->any_writable(), origins, index, failure)) return fail(kExitMount, failure);
    }
    const auto transport = fuse::choose_transport(config.transport, config.locks);
    const bool needs_ring = config.transport == config::Transport::io_uring && config.locks == config::Locks::local;
    if (needs_ring && !transport.io_uring) {
        return fail(kExitMount, "transport=io_uring can not be had: " + transport.reason);
    }
    tell_if_full(config, *set);
    const auto depth = fuse::choose_depth(config, *set);
    const std::size_t budget = descriptor_budget();
    if (auto dropped = sys::drop_spare_privileges(); !dropped) {
        log::warn("the daemon keeps all privileges that it was started with: {}",
                  log::errno_text(dropped.error().value()));
    }
    // Who knows fuse-overlayfs may send it, for an account of itself; that must not end us.
    ::signal(SIGUSR1, SIG_IGN);
    auto tree = std::make_unique<Tree>(set, config.pool, std::move(workdir), budget, config.layers);
    tree->keep_origins(std::move(origins), std::move(index));
    set_read_ahead(config, *set);
    std::string coherence;
    auto changes = watch_changes(config, *tree, coherence);
    if (!changes && config.coherence == config::Coherence::watch) {
        return fail(kExitMount, "coherence=watch can not be had: " + coherence);
    }
    config.watched = changes != nullptr;
    fuse::Session session(config, *tree, transport, depth);
    session.watch_changes(std::move(changes), coherence);
    std::string failure;
    if (!session.mount(failure)) return fail(kExitMount, failure);
    std::optional<BranchWatch> watch;
    if (!config.layered) watch.emplace(*tree, config.pool.space_age);
    const int code = session.serve([&] {
        readiness.ready();
        choose_log(config);
    });
    session.unmount();
    return code;
}

int run_mount(Command& command) {
    for (const auto& notice : command.notices) say(notice);
    if (!command.mount_namespace.empty()) enter_mount_namespace(command.mount_namespace);
    config::Config& config = command.config;
    const config::HostFacts host = config::find_host_facts();
    config::check_host(host);
    for (const auto& notice : config::drop_labels(config, host)) say(notice);
    if (config.lazy_umount && command.action == Action::mount) detach_old_mount(config);
    for (const auto& notice : config::validate(config)) say(notice);
    log::set_level(config.debug ? log::Level::debug : config.log_level);
    if (command.action == Action::fake) return 0;
    Readiness readiness;
    if (config.foreground) return serve(config, readiness);
    return readiness.detach([&] { return serve(config, readiness); });
}

int run(int argc, char** argv) {
    const Invocation invocation = find_invocation(argc, argv);
    called_as = program_name(invocation.argv);
    Command command = parse_command_line(invocation);
    switch (command.action) {
        case Action::help:
            std::cout << help_text(called_as);
            return 0;
        case Action::version:
            return print_version(command.config);
        case Action::mount:
        case Action::fake:
            return run_mount(command);
    }
    return kExitSystem;
}

}  // namespace
}  // namespace plyfs::app

int main(int argc, char** argv) {
    using namespace plyfs;
    try {
        return app::run(argc, argv);
    } catch (const config::Error& error) {
        for (const auto& line : error.messages()) app::say(line);
        return static_cast<int>(error.exit_code());
    } catch (const std::exception& error) {
        app::say(error.what());
        return app::kExitSystem;
    }
}

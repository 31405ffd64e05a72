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

#include "app/command_line.h"
#include "app/daemonize.h"
#include "app/late_supervisor.h"
#include "app/remount.h"
#include "app/supervise.h"
#include "app/texts.h"
#include "app/upper_layer.h"
#include "base/log.h"
#include "base/log_journal.h"
#include "branch/absent.h"
#include "branch/probe.h"
#include "config/validate.h"
#include "control/socket_server.h"
#include "fuse/session.h"
#include "node/branch_watch.h"
#include "node/change_watch.h"
#include "node/tree.h"
#include "sys/call_filter.h"
#include "sys/cred.h"
#include "sys/mounted.h"
#include "sys/service_manager.h"
#include "sys/stat.h"

namespace plyfs::app {
namespace {

// What mount(8) expects of its helpers.
constexpr int kExitSystem = 2;
constexpr int kExitMount = 32;
// Somebody waits for the mount meanwhile.
constexpr std::chrono::milliseconds kMostSilent{2000};
// A minute, as long as a supervisor tries to start a daemon.
constexpr std::chrono::seconds kBetweenTries{1};
constexpr int kMostTries = 60;

// A share of the descriptor limit for what is kept open only to save opening it again; the rest is for open files.
constexpr std::size_t kMaxKept = 1500;

std::size_t descriptor_budget() {
    struct rlimit limit;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) log::debug("the descriptor limit can not be raised");
    return std::min<std::size_t>(kMaxKept, limit.rlim_cur / 8);
}

const char* called_as = "plyfs";  // what messages begin with

void say(log::Level level, const std::string& line) {
    std::cerr << log::priority_prefix(level) << called_as << ": " << log::in_one_line(line) << "\n";
}

void say(const std::string& line) {
    say(log::Level::info, line);
}

int fail(int code, const std::string& line) {
    say(log::Level::error, line);
    return code;
}

int print(const std::string& text) {
    errno = 0;
    std::cout << text << std::flush;
    if (std::cout) return 0;
    return fail(kExitSystem, "the answer can not be written: " + log::errno_text(errno != 0 ? errno : EIO));
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
    const int printed = print(version_text(facts, called_as));
    if (printed == 0) fuse::print_protocol();
    return printed;
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

// mount -a asks for what is mounted already where it does not know it again: by a first word that is too long to be
// shown, or another name for it.
bool is_mounted_already(const config::Config& config) {
    bool same = false;
    for (const auto& point : sys::mount_points()) {
        if (point.path != config.mountpoint) continue;
        same = point.source == config.fsname && point.mounted.type == "fuse." + config.subtype;
    }
    return same;
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

// Of a service the process that was started is the daemon; any other one has somebody who waits for it to return.
// fuse-overlayfs knows no manager: the socket in its environment is its caller's.
void tell_service_manager(const config::Config& config, const std::string& state) {
    if (!config.foreground || config.drop_in) return;
    if (auto told = sys::tell_service_manager(state); !told) {
        log::warn("the service manager can not be told {}: {}", state.substr(0, state.find('\n')),
                  log::errno_text(told.error().value()));
    }
}

// The configuration as it is written by now, of a command line that was in order once.
control::ReadAgain read_config_again(const Invocation& invocation) {
    try {
        return {parse_command_line(invocation).config, {}};
    } catch (const config::Error& error) {
        return {std::nullopt, error.messages()};
    } catch (const std::exception& error) {
        return {std::nullopt, {error.what()}};
    }
}

// Of a mount that is served. A file that lies in it could not be read by the daemon after this one, which would wait
// for its own answer.
control::ReadAgain read_while_mounted(const Invocation& invocation, const std::string& mountpoint) {
    control::ReadAgain out = read_config_again(invocation);
    const auto mount = sys::find_mounted(mountpoint);
    if (!out.config || !mount) return out;
    for (const std::string& file : out.config->files) {
        const auto st = sys::stat_path(file.c_str());
        const bool inside = st && sys::device_of(*st) == mount->device;
        if (inside) out.faults.push_back(file + ": lies in the mount itself; keep it elsewhere");
    }
    if (!out.faults.empty()) out.config.reset();
    return out;
}

void open_control_socket(control::SocketServer& control, const config::Config& config) {
    std::string why;
    if (control.open(config.mountpoint, why)) return;
    // Engines do without one for each of their containers.
    const auto level = config.drop_in ? log::Level::debug : log::Level::warn;
    log::message(level, "plyctl can not ask this mount, it has no control socket: {}", why);
}

// supervision: null: no daemon will follow this one.
int serve(config::Config config, Readiness& readiness, const Invocation& invocation, fuse::Supervision* supervision) {
    const auto read_config = [invocation] { return read_config_again(invocation); };
    const bool supervised = supervision && supervision->is_supervised();
    if (supervised) control::amend(config, control::read_amendments(supervision->ledger.amendments()), read_config);
    const bool takes_over = supervised && supervision->takes_over();
    const auto refuse = [takes_over](const std::string& why) {
        if (takes_over) log::error("{}", why);  // nobody is at the terminal any more
        return fail(kExitMount, why);
    };
    if (takes_over && !config.layered) {
        // Branches on trial are not served with unless they are there.
        pass_over_absent(config, kMostSilent, supervision->ledger.is_trial() ? Absence::silent : Absence::any);
    }
    if (takes_over && config.layered) {
        if (const auto absent = find_absent_layer(config)) return refuse(*absent);
    }
    take_niceness(config.niceness);
    ProbeFailure probe;
    const bool changes_layers = config.layered && !config.workdir.empty() && !config.read_only;
    const auto times = config.noatime() ? sys::AccessTimes::none : sys::AccessTimes::as_mounted;
    const auto own = changes_layers ? OwnMount::around(config.branches[0].path, config.workdir, times) : OwnMount();
    const auto set = probe_branches(config, own, probe);
    if (!set) return refuse(probe.message);
    std::string failure;
    UpperLayer upper;
    if (!open_upper(config, own, set, upper, failure)) return refuse(failure);
    const auto all = set->all();
    const bool network = std::any_of(all.begin(), all.end(), [](const auto& branch) { return branch->network(); });
    const auto transport = takes_over ? fuse::TransportChoice{false, "as the daemon before had it"}
                                      : fuse::choose_transport(config.transport, config.locks, network);
    const bool needs_ring = config.transport == config::Transport::io_uring && config.locks == config::Locks::local;
    if (needs_ring && !transport.io_uring) {
        return refuse("transport=io_uring can not be had: " + transport.reason);
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
    auto tree = std::make_unique<Tree>(set, config.pool, std::move(upper.workdir), budget, config.layers);
    tree->keep_origins(std::move(upper.origins), std::move(upper.index));
    tree->sweep_leftovers();
    set_read_ahead(config, *set);
    std::string coherence;
    auto changes = watch_changes(config, *tree, coherence);
    if (!changes && config.coherence == config::Coherence::watch) {
        return refuse("coherence=watch can not be had: " + coherence);
    }
    config.watched = changes != nullptr;
    if (transport.io_uring) supervision = nullptr;
    fuse::Session session(config, *tree, transport, depth, supervision);
    session.watch_changes(std::move(changes), coherence);
    if (!session.mount(failure)) return refuse(failure);
    std::optional<BranchWatch> watch(std::in_place, *tree,
                                     BranchWatch::Terms{config.layered, config.pool.space_age, config.branch_timeout});
    const auto read_again = [invocation, at = config.mountpoint] { return read_while_mounted(invocation, at); };
    std::optional<control::SocketServer> control(std::in_place, session.control(read_again));
    open_control_socket(*control, config);
    const auto leave = [&] {
        tell_service_manager(config, "STOPPING=1");
        control.reset();
        ::_exit(0);
    };
    session.when_stuck(leave);
    if (config.seccomp) {
        if (auto given_up = sys::give_up_other_calls(transport.io_uring); !given_up) {
            session.unmount();
            return refuse("seccomp=on can not be had: " + log::errno_text(given_up.error().value()));
        }
    }
    const int code = session.serve([&](const std::string& how) {
        control->start();
        if (config.verbose && !config.foreground) say(how);
        readiness.ready();
        choose_log(config);
        log::info("{}", how);  // for the log: a command that has done its work is silent
        if (supervised && !sys::send_word(supervision->line, fuse::kServes)) log::warn("the supervisor is gone");
        tell_service_manager(config, "READY=1\nSTATUS=Serving " + log::in_one_line(config.mountpoint));
    });
    session.unmount();
    // Who looks after a branch that hangs does not come back to be waited for.
    if (!watch->stop()) leave();
    tell_service_manager(config, "STOPPING=1");
    return code;
}

// What was found before anything was mounted, and could not be found through the mount.
std::string found_first(const config::Config& config) {
    control::Amendments found;
    if (!config.layered) found.branches = config.branches;
    found.mountpoint = config.mountpoint;
    found.read_only = config.read_only;
    return found.write();
}

int serve_alone(const config::Config& config, Readiness& readiness, const Invocation& invocation) {
    std::unique_ptr<LateSupervisor> late;
    // It would be started by who has given that up.
    if (!config.seccomp) {
        late = LateSupervisor::make(config, find_program(invocation.argv, invocation.cwd), found_first(config));
    }
    return serve(config, readiness, invocation, late ? &late->supervision() : nullptr);
}

int serve_supervised(const config::Config& config, Readiness& readiness, const Invocation& invocation,
                     std::optional<SupervisorState> left) {
    auto program = find_program(invocation.argv, invocation.cwd);
    if (program && left) program->path = left->path;  // the file that this one is of may be gone
    const auto on_ready = [&] {
        readiness.ready();
        choose_log(config);
    };
    const auto daemon = [&](fuse::Supervision& supervision) {
        return serve(config, readiness, invocation, &supervision);
    };
    return supervise({daemon, on_ready, found_first(config), std::move(program), std::move(left)});
}

// Whoever has no program to go back to waits for layers that are gone: there is a mount to be looked after.
void validate_layers(config::Config& config, int more_tries) {
    for (;; --more_tries) {
        try {
            config::validate(config);
            return;
        } catch (const config::Error& error) {
            if (more_tries == 0) throw;
            if (more_tries == kMostTries) log::warn("{}; waited for", error.messages()[0]);
        }
        std::this_thread::sleep_for(kBetweenTries);
    }
}

// In the place of the program before, whose daemon serves or has just left: the branches of pools are known.
int go_on(Command& command, const Invocation& invocation, SupervisorState& left) {
    config::Config& config = command.config;
    if (!left.came_back && left.version != fuse::kTakeoverVersion) throw std::runtime_error("another version's mount");
    log::set_level(config.debug ? log::Level::debug : config.log_level);
    choose_log(config);
    if (config.layered) validate_layers(config, left.came_back ? kMostTries : 0);
    config::fit_to_host(config, config::find_host_facts());
    Readiness readiness;
    if (!left.device.valid() && !wait_for_daemon(left)) return 0;
    return serve_supervised(config, readiness, invocation, std::move(left));
}

int run_mount(Command& command, const Invocation& invocation) {
    for (const auto& notice : command.notices) say(notice);
    if (!command.mount_namespace.empty()) enter_mount_namespace(command.mount_namespace);
    config::Config& config = command.config;
    const config::HostFacts host = config::find_host_facts();
    config::check_host(host);
    for (const auto& notice : config::fit_to_host(config, host)) say(notice);
    if (config.lazy_umount && command.action == Action::mount) detach_old_mount(config);
    if (!config.drop_in && is_mounted_already(config)) {
        return fail(kExitMount, config.mountpoint + ": " + config.fsname +
                                    " is mounted there already; change it with mount -o remount, or umount it first");
    }
    for (const auto& notice : config::validate(config)) say(notice);
    log::set_level(config.debug ? log::Level::debug : config.log_level);
    if (command.action == Action::fake) return 0;
    Readiness readiness;
    const auto work = [&] {
        return config.supervise ? serve_supervised(config, readiness, invocation, {})
                                : serve_alone(config, readiness, invocation);
    };
    return config.foreground ? work() : readiness.detach(work);
}

int run_remount(const Command& command) {
    for (const auto& notice : command.notices) say(notice);
    if (!command.mount_namespace.empty()) enter_mount_namespace(command.mount_namespace);
    for (const auto& notice :
         remount(command.config.mountpoint, command.remount, command.action == Action::fake_remount)) {
        say(notice);
    }
    if (command.config.verbose) say("remounted " + command.config.mountpoint);
    return 0;
}

// Whether a supervisor of another program could become this one.
int answer(const Question& question, Invocation invocation) {
    invocation.cwd = question.cwd;
    const Command command = parse_command_line(invocation);
    const bool same = question.version == fuse::kTakeoverVersion && command.action == Action::mount;
    return same && !command.config.drop_in ? kWouldGoOn : kExitSystem;
}

int run_supervisor(SupervisorState left, Invocation invocation) {
    invocation.cwd = left.cwd;
    try {
        Command command = parse_command_line(invocation);
        return go_on(command, invocation, left);
    } catch (const std::exception& error) {
        log::error("the mount of the program before can not be taken: {}", error.what());
        if (!left.came_back && left.device.valid() && left.before.valid())
            become_earlier_program(invocation.argv, left);
        return fail(kExitSystem, error.what());
    }
}

int run(int argc, char** argv) {
    if (sys::is_journal(BorrowedFd(STDERR_FILENO))) log::to_journal();
    const Invocation invocation = find_invocation(argc, argv);
    called_as = program_name(invocation.argv);
    if (const auto question = take_question()) return answer(*question, invocation);
    if (auto left = take_state()) return run_supervisor(std::move(*left), invocation);
    Command command = parse_command_line(invocation);
    switch (command.action) {
        case Action::help:
            return print(help_text(called_as));
        case Action::version:
            return print_version(command.config);
        case Action::remount:
        case Action::fake_remount:
            return run_remount(command);
        case Action::mount:
        case Action::fake:
            return run_mount(command, invocation);
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
        for (const auto& line : error.messages()) app::say(log::Level::error, line);
        return static_cast<int>(error.exit_code());
    } catch (const std::exception& error) {
        app::say(log::Level::error, error.what());
        return app::kExitSystem;
    }
}

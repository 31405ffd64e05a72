#include "config/validate.h"

#include <unistd.h>

#include <boost/filesystem.hpp>

#include <algorithm>
#include <fstream>
#include <optional>

#include "config/config_file.h"
#include "config/expand.h"
#include "config/missing.h"
#include "sys/open.h"
#include "sys/stat.h"

namespace plyfs::config {
namespace {

namespace fs = boost::filesystem;

// Since Linux 6.13; it was 256 before.
constexpr const char* kMostPages = "/proc/sys/fs/fuse/max_pages_limit";
constexpr std::uint64_t kPage = 4096;

// A directory that was found, and what is needed to compare it with the others.
struct Place {
    std::string path;   // canonical
    std::string label;  // "branch /a", for messages
    sys::FileKey key;
    std::uint64_t device = 0;
    std::uint64_t mount = 0;  // 0: the kernel does not tell
    bool mount_root = false;
    bool read_only = false;
    bool writable_branch = false;
    bool lower = false;  // a layer below the upper one: never written to, as overlayfs has it
};

bool same(const Place& a, const Place& b) {
    return a.path == b.path || a.key == b.key;
}

// Not every release of Boost takes a slash at the end away.
std::string without_slash(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path;
}

// Strictly below.
bool inside(const Place& inner, const Place& outer) {
    const std::string prefix = outer.path == "/" ? outer.path : outer.path + "/";
    return inner.path.size() > prefix.size() && inner.path.starts_with(prefix);
}

std::string missing_line(const std::string& label, int error, std::string_view mend_missing) {
    switch (error) {
        case ENOENT:
            return label + ": no such directory; " + std::string(mend_missing);
        case ENOTDIR:
            return label + ": not a directory; name the directory itself";
        case EACCES:
            return label + ": permission denied on the way to it; mount as root or open its parents";
        case ELOOP:
            return label + ": its symbolic links go in a circle; name the directory itself";
        case ENOTCONN:
            return label + ": a file system lies there whose daemon has died; take it away with umount -l";
        default:
            return label + ": " + log::errno_text(error) + "; check that it can be listed";
    }
}

// Collects places and faults for one configuration.
class Survey {
  public:
    std::optional<Place> look(const std::string& path, const std::string& label, std::string_view mend_missing) {
        boost::system::error_code fault;
        const fs::path canonical = fs::canonical(path, fault);
        if (fault) return miss(label, fault.value(), mend_missing);
        auto fd = sys::open_root(canonical.c_str());
        if (!fd) return miss(label, fd.error().value(), mend_missing);
        auto st = sys::stat_fd(*fd);
        if (!st) return miss(label, st.error().value(), mend_missing);
        auto space = sys::stat_fs(*fd);
        if (!space) return miss(label, space.error().value(), mend_missing);
        Place place;
        place.path = without_slash(canonical.string());
        place.label = label;
        place.key = sys::key_of(*st);
        place.device = sys::device_of(*st);
        place.mount = (st->stx_mask & STATX_MNT_ID) != 0 ? st->stx_mnt_id : 0;
        place.mount_root = sys::is_mount_root(*st);
        place.read_only = (space->f_flag & ST_RDONLY) != 0;
        return place;
    }

    void fault(std::string line) { faults_.push_back(std::move(line)); }
    void notice(std::string line) { notices_.push_back(std::move(line)); }
    std::vector<std::string>& faults() { return faults_; }
    std::vector<std::string>& notices() { return notices_; }

  private:
    std::nullopt_t miss(const std::string& label, int error, std::string_view mend_missing) {
        fault(missing_line(label, error, mend_missing));
        return std::nullopt;
    }

    std::vector<std::string> faults_;
    std::vector<std::string> notices_;
};

// A mere name may have been meant for a configuration file's.
std::string how_to_mend(const Config& config, const BranchSpec& branch) {
    std::string mend = "create it, or mount the disk that belongs there";
    if (config.layered || branch.written.find_first_of("/=") != std::string::npos) return mend;
    return mend + "; nor is there a file " + kConfigFolder + "/" + branch.written + ".yaml";
}

std::vector<Place> look_at_branches(Config& config, Survey& survey) {
    std::vector<Place> places;
    for (BranchSpec& branch : config.branches) {
        const bool upper = config.layered && branch.mode != BranchMode::ro;
        const std::string label = (config.layered ? (upper ? "upperdir " : "lowerdir ") : "branch ") + branch.path;
        if (branch.missing) continue;
        auto place = survey.look(branch.path, label, how_to_mend(config, branch));
        if (!place) continue;
        branch.path = place->path;
        branch.mount_root = place->mount_root;
        place->lower = config.layered && branch.mode == BranchMode::ro;
        place->writable_branch = branch.mode != BranchMode::ro && !config.read_only;
        places.push_back(std::move(*place));
    }
    return places;
}

// A change through a writable branch must not reach what another branch, or we ourselves, rely on.
void compare_branches(const std::vector<Place>& places, Survey& survey) {
    for (std::size_t i = 0; i < places.size(); ++i) {
        for (std::size_t j = 0; j < places.size(); ++j) {
            if (i < j && same(places[i], places[j])) {
                survey.fault(places[j].label + ": the same directory as " + places[i].label + "; name it once");
            } else if (i != j && places[i].writable_branch && inside(places[j], places[i])) {
                survey.fault(places[j].label + ": lies inside " + places[i].label +
                             ", which can be written to; use directories that are not inside each other");
            }
        }
    }
}

// Whether the upper or the work directory lies in a layer below.
bool any_inside_lower(const std::vector<Place>& places) {
    for (const Place& lower : places) {
        for (const Place& place : places) {
            if (lower.lower && !place.lower && inside(place, lower)) return true;
        }
    }
    return false;
}

void compare_mountpoint(Config& config, const Place& mountpoint, const std::vector<Place>& others, Survey& survey) {
    for (const Place& other : others) {
        if (same(other, mountpoint)) {
            survey.fault(mountpoint.label + ": is also " + other.label + "; mount somewhere else");
        } else if (inside(other, mountpoint)) {
            survey.fault(other.label + ": lies inside the mountpoint " + mountpoint.path +
                         ", which would hide it; mount somewhere else");
        } else if (inside(mountpoint, other) && other.lower) {
            for (BranchSpec& branch : config.branches) {
                if (branch.path == other.path) branch.holds_mountpoint = true;
            }
        } else if (inside(mountpoint, other)) {
            survey.fault(mountpoint.label + ": lies inside " + other.label +
                         ", so the tree would hold itself; mount somewhere else");
        }
    }
}

void compare_workdir(const Place& work, const std::vector<Place>& branches, Survey& survey) {
    for (const Place& branch : branches) {
        const bool within = inside(work, branch) && !branch.lower;
        if (same(branch, work) || inside(branch, work) || within) {
            survey.fault(work.label + ": overlaps " + branch.label + "; use an empty directory beside it");
        } else if (branch.writable_branch && branch.device != work.device) {
            survey.fault(work.label + ": not on the same file system as " + branch.label +
                         "; use an empty directory beside it");
        } else if (branch.writable_branch && branch.mount != work.mount) {
            survey.fault(work.label + ": reached through another mount than " + branch.label +
                         ", renames between them fail; name both below one mount");
        }
    }
}

void check_writable(Config& config, const std::vector<Place>& places, Survey& survey) {
    bool any = std::any_of(config.branches.begin(), config.branches.end(),
                           [](const BranchSpec& b) { return b.missing && b.mode != BranchMode::ro; });
    for (const Place& place : places) {
        if (!place.writable_branch) continue;
        if (!place.read_only) {
            any = true;
        } else if (config.layered) {
            survey.fault(place.label +
                         ": on a read-only file system; remount that read-write, or leave upperdir= and workdir= out");
        } else {
            survey.notice(place.label + ": on a read-only file system, nothing will be changed there");
        }
    }
    if (any || config.read_only) return;
    config.read_only = true;
    if (!config.drop_in) survey.notice("no branch can be written to: mounted read-only");
}

void find_branches(Config& config, Survey& survey) {
    for (std::string& line : expand_patterns(config.branches, survey.notices())) survey.fault(std::move(line));
    for (std::string& line : settle_missing_branches(config, survey.notices())) survey.fault(std::move(line));
}

std::vector<Place> survey_branches(Config& config, Survey& survey) {
    if (!config.layered) find_branches(config, survey);
    std::vector<Place> places = look_at_branches(config, survey);
    for (std::string& line : find_rule_members(config.pool.rules, config.branches)) survey.fault(std::move(line));
    compare_branches(places, survey);
    check_writable(config, places, survey);
    return places;
}

}  // namespace

std::vector<std::string> find_rule_members(std::vector<PlacementRule>& rules, const std::vector<BranchSpec>& branches) {
    std::vector<std::string> faults;
    for (PlacementRule& rule : rules) {
        rule.members.clear();
        for (const std::string& written : rule.branches) {
            boost::system::error_code fault;
            const fs::path canonical = fs::canonical(written, fault);
            const std::string path = fault ? written : canonical.string();
            const auto found = std::find_if(branches.begin(), branches.end(),
                                            [&](const BranchSpec& branch) { return branch.path == path; });
            if (found == branches.end()) {
                faults.push_back(rule.place + ": rules: " + written + " is no branch of this pool; name one of those");
                continue;
            }
            rule.members.push_back(static_cast<int>(found - branches.begin()));
        }
    }
    return faults;
}

namespace {

// A log in the mount would wait for the daemon that writes it.
void check_log_file(const Config& config, Survey& survey) {
    if (config.log_file.empty()) return;
    boost::system::error_code fault;
    const fs::path folder = fs::canonical(fs::path(config.log_file).parent_path(), fault);
    const std::string what = "log.file " + config.log_file;
    if (fault) {
        survey.fault(what + ": its directory is not there; create it, or name another file");
    } else if ((folder.string() + "/").starts_with(config.mountpoint + "/")) {
        survey.fault(what + ": lies in the mount itself; name a file elsewhere");
    } else if (fs::is_directory(config.log_file, fault)) {
        survey.fault(what + ": is a directory; name a file");
    }
}

}  // namespace

std::vector<std::string> validate(Config& config) {
    Survey survey;
    std::vector<Place> places = survey_branches(config, survey);
    if (!config.workdir.empty() && !config.read_only) {
        if (auto work = survey.look(config.workdir, "workdir " + config.workdir, "create it empty")) {
            config.workdir = work->path;
            compare_workdir(*work, places, survey);
            places.push_back(std::move(*work));
        }
    }
    if (auto mountpoint = survey.look(config.mountpoint, "mountpoint " + config.mountpoint, "create it")) {
        config.mountpoint = config.pool.mountpoint = mountpoint->path;
        compare_mountpoint(config, *mountpoint, places, survey);
    }
    config.layers.inside_lower = any_inside_lower(places);
    check_log_file(config, survey);
    if (!survey.faults().empty()) throw Error(ExitCode::mount, survey.faults());
    return survey.notices();
}

void validate_branches(Config& config) {
    Survey survey;
    const std::vector<Place> places = survey_branches(config, survey);
    Place mountpoint;
    mountpoint.path = config.mountpoint;
    mountpoint.label = "mountpoint " + config.mountpoint;
    compare_mountpoint(config, mountpoint, places, survey);
    if (!survey.faults().empty()) throw Error(ExitCode::mount, survey.faults());
}

HostFacts find_host_facts() {
    HostFacts facts;
    facts.root = ::geteuid() == 0;
    const fs::path device = "/dev/fuse";
    boost::system::error_code ignored;  // "not there" is the answer, whatever the reason
    facts.fuse_device = fs::status(device, ignored).type() == fs::character_file;
    std::ifstream known("/proc/filesystems");
    for (std::string line; std::getline(known, line);) facts.selinux = facts.selinux || line.ends_with("selinuxfs");
    facts.fuse_device_opens = facts.fuse_device && std::fstream(device.string()).is_open();
    std::uint64_t pages = 0;
    if (std::ifstream(kMostPages) >> pages) facts.max_request = pages * kPage;
    return facts;
}

namespace {

void drop_labels(Config& config, std::vector<std::string>& notices) {
    std::erase_if(config.kernel_options, [&](const std::string& word) {
        const std::string name = word.substr(0, word.find('='));
        if (!name.ends_with("context")) return false;
        notices.push_back("option " + name + " has no effect: SELinux is not in use");
        return true;
    });
}

}  // namespace

std::vector<std::string> fit_to_host(Config& config, const HostFacts& facts) {
    std::vector<std::string> notices;
    if (!facts.selinux) drop_labels(config, notices);
    if (config.max_request > facts.max_request) {
        notices.push_back("option fuse-msg-size has no effect beyond " + std::to_string(facts.max_request / kPage) +
                          " pages of 4K, the most that this kernel sends; sysctl fs.fuse.max_pages_limit has it since "
                          "Linux 6.13");
        config.max_request = facts.max_request;
    }
    return notices;
}

void check_host(const HostFacts& facts) {
    if (!facts.root) {
        throw Error(ExitCode::usage, {"only root can mount with plyfs; become root, or use sudo"});
    }
    if (!facts.fuse_device) {
        throw Error(ExitCode::system, {"/dev/fuse is missing; load the kernel module (modprobe fuse), or "
                                       "pass the device to the container"});
    }
    if (!facts.fuse_device_opens) {
        throw Error(ExitCode::system,
                    {"/dev/fuse can not be opened; check its permissions and the container's device rules"});
    }
}

}  // namespace plyfs::config

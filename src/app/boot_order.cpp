#include "app/boot_order.h"

#include <fnmatch.h>
#include <mntent.h>

#include <boost/filesystem.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "app/command_line.h"
#include "app/unit_text.h"
#include "config/branch_spec.h"
#include "config/config_file.h"

namespace plyfs::app {
namespace {

namespace fs = boost::filesystem;
using Words = std::vector<std::string>;

bool is_ours(const FstabLine& line) {
    return line.type == "plyfs" || line.type == "fuse.plyfs";
}

// The unit of a line is named after where its directory leads.
std::string canonical(const std::string& path) {
    boost::system::error_code fault;
    const fs::path found = fs::weakly_canonical(path, fault);
    return fault ? path : found.string();
}

// "/", "/srv", "/srv/a" for "/srv/a".
Words ancestors(const std::string& path) {
    Words out{"/"};
    for (std::size_t end = path.find('/', 1); path.size() > 1; end = path.find('/', end + 1)) {
        out.push_back(path.substr(0, end));
        if (end == std::string::npos) break;
    }
    return out;
}

// Whether something that is mounted there takes part in what fits the pattern.
bool is_above_match(const std::string& directory, const std::string& pattern) {
    const Words begins = ancestors(pattern);
    const std::size_t depth = ancestors(directory).size();
    return depth > 1 && depth <= begins.size() &&
           ::fnmatch(begins[depth - 1].c_str(), directory.c_str(), FNM_PATHNAME | FNM_PERIOD) == 0;
}

// The directory below which everything lies that fits the pattern.
std::string root_of_pattern(const std::string& pattern) {
    const Words begins = ancestors(pattern);
    std::string root = "/";
    for (const std::string& begin : begins) {
        config::BranchSpec spec;
        config::set_branch_path(spec, begin, "/", true);
        if (spec.pattern) break;
        root = spec.path;
    }
    return root;
}

// Whether the line's directory is mounted at boot, as mount -a does.
bool is_automatic(const FstabLine& line) {
    return ("," + line.options + ",").find(",noauto,") == std::string::npos;
}

class Needs {
  public:
    Needs(const std::vector<FstabLine>& fstab, std::string mountpoint)
        : fstab_(fstab), mountpoint_(std::move(mountpoint)) {}

    void of(const config::Config& config) {
        const bool may_be_missing = !config.layered && config.pool.missing != config::BranchesMissing::fail;
        for (const auto& branch : config.branches) {
            const Words paths = branch.pattern ? places_of(branch.path) : Words{branch.path};
            for (const auto& path : paths) may_be_missing ? want(path) : require(path);
        }
        if (!config.workdir.empty()) require(config.workdir);
    }
    void require(const std::string& path) { add(required_, path); }

    // Empty: nothing is needed.
    std::string text(const std::string& origin) const {
        std::string lines;
        for (const auto& path : required_) {
            const std::string word = unit_word(path);
            if (!word.empty()) lines += "RequiresMountsFor=" + word + "\n";
        }
        for (const auto& unit : wanted_) lines += "Wants=" + unit + "\nAfter=" + unit + "\n";
        return lines.empty() ? lines : "# Made by plyfs-generator of " + origin + "\n[Unit]\n" + lines;
    }

  private:
    static void add(Words& list, const std::string& word) {
        if (std::find(list.begin(), list.end(), word) == list.end()) list.push_back(word);
    }

    Words places_of(const std::string& pattern) const {
        Words places{root_of_pattern(pattern)};
        for (const auto& line : fstab_) {
            const bool other = line.directory != mountpoint_ && is_automatic(line);
            if (other && is_above_match(line.directory, pattern)) places.push_back(line.directory);
        }
        return places;
    }

    // Before it if it is to be mounted at all, but a failure is none of ours: what RequiresMountsFor= can not say.
    void want(const std::string& path) {
        const Words above = ancestors(path);
        for (const auto& line : fstab_) {
            if (line.directory == "/" || !is_automatic(line) ||
                std::find(above.begin(), above.end(), line.directory) == above.end())
                continue;
            add(wanted_, mount_unit(canonical(line.directory)));
        }
    }

    const std::vector<FstabLine>& fstab_;
    const std::string mountpoint_;
    Words required_;
    Words wanted_;
};

void order_line(const FstabLine& line, const std::vector<FstabLine>& fstab, const std::string& config_folder,
                BootOrder& out) {
    Invocation invocation;
    invocation.argv = {"mount.plyfs", line.source, line.directory, "-s", "-o", line.options};
    invocation.cwd = "/";
    invocation.root = true;
    invocation.config_folder = config_folder;
    try {
        Needs needs(fstab, line.directory);
        needs.of(parse_command_line(invocation).config);
        const std::string text = needs.text("fstab");
        if (!text.empty()) out.drop_ins.push_back({mount_unit(canonical(line.directory)), text});
    } catch (const config::Error& error) {
        for (const auto& fault : error.messages()) out.faults.push_back("fstab: " + line.directory + ": " + fault);
    }
}

void order_service(const fs::path& file, const std::vector<FstabLine>& fstab, BootOrder& out) {
    config::Draft draft;
    config::read_config_file(file.string(), draft);
    if (draft.config.mountpoint.empty()) return;
    const std::string name = file.stem().string();
    if (!fits_unit_name(name)) {
        out.faults.push_back(file.string() + ": its name fits no unit; use letters, digits and any of '-_.:' for " +
                             "plyfs@.service");
        return;
    }
    try {
        const config::Config config = config::settle(draft, true);
        Needs needs(fstab, config.mountpoint);
        needs.of(config);
        needs.require(fs::path(config.mountpoint).parent_path().string());
        out.drop_ins.push_back({"plyfs@" + name + ".service", needs.text(file.string())});
    } catch (const config::Error& error) {
        for (const auto& fault : error.messages()) out.faults.push_back(file.string() + ": " + fault);
    }
}

std::vector<fs::path> files_in(const std::string& folder) {
    std::vector<fs::path> files;
    boost::system::error_code fault;
    for (fs::directory_iterator at(folder, fault), end; !fault && at != end; at.increment(fault)) {
        if (at->path().extension() == ".yaml") files.push_back(at->path());
    }
    std::sort(files.begin(), files.end());
    return files;
}

}  // namespace

std::vector<FstabLine> read_fstab(const std::string& path) {
    constexpr std::size_t kLongestLine = 1 << 20;
    std::vector<FstabLine> lines;
    std::vector<char> buffer(kLongestLine);
    struct mntent entry = {};
    const std::unique_ptr<FILE, int (*)(FILE*)> file(::setmntent(path.c_str(), "re"), ::endmntent);
    if (!file) return lines;
    while (::getmntent_r(file.get(), &entry, buffer.data(), static_cast<int>(buffer.size()))) {
        if (*entry.mnt_dir != '/') continue;  // swap
        lines.push_back({entry.mnt_fsname, config::make_absolute(entry.mnt_dir, "/"), entry.mnt_type, entry.mnt_opts});
    }
    return lines;
}

BootOrder order_mounts(const std::vector<FstabLine>& fstab, const std::string& config_folder) {
    BootOrder out;
    for (const auto& line : fstab) {
        if (is_ours(line)) order_line(line, fstab, config_folder, out);
    }
    for (const auto& file : files_in(config_folder)) order_service(file, fstab, out);
    return out;
}

}  // namespace plyfs::app

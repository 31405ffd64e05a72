// import: what other programs' mounts are written as for us.
#include "ctl/import.h"

#include <fstream>
#include <iostream>
#include <sstream>

#include "base/log.h"
#include "ctl/command_line.h"
#include "ctl/commands.h"
#include "ctl/failure.h"
#include "ctl/text.h"

namespace plyfs::ctl {
namespace {

std::string read_all(std::istream& in, const std::string& name) {
    std::ostringstream text;
    text << in.rdbuf();
    if (in.bad()) throw Failure(shown(name) + " can not be read");
    return text.str();
}

// "-": standard input.
std::string read_text(const std::string& path) {
    if (path == "-") return read_all(std::cin, "standard input");
    std::ifstream file(path);
    if (!file || file.peek() == std::ifstream::traits_type::eof()) {
        throw Failure(shown(path) + ": " + (file || errno == 0 ? "it is empty" : log::errno_text(errno)));
    }
    return read_all(file, path);
}

Json lines_json(const std::vector<std::string>& lines) {
    Json out = Json::array();
    for (const auto& line : lines) out.push(line);
    return out;
}

// What comes out can take the place of what went in.
void tell(const Imported& imported, bool json, const std::string& before) {
    if (json) {
        Json out;
        out.add("ok", imported.faults.empty()).add("text", imported.faults.empty() ? imported.text : "");
        out.add("changes", lines_json(imported.changes));
        print_line(out.add("faults", lines_json(imported.faults)));
        return;
    }
    for (const auto& fault : imported.faults) std::cerr << "plyctl: " << shown(before) << ": " << shown(fault) << "\n";
    if (!imported.faults.empty()) return;
    for (const auto& change : imported.changes) print("# " + shown(change) + "\n");
    print(imported.text + (imported.text.ends_with('\n') ? "" : "\n"));
}

int import_lines(Foreign program, const std::string& text, const Words& words) {
    bool any = false, good = true;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const auto imported = import_line(program, line);
        if (!imported) continue;
        any = true;
        good = good && imported->faults.empty();
        tell(*imported, words.json, line);
    }
    if (!any) {
        throw Failure("there is no line of " + words.arguments[0] +
                      "; a line is one of fstab(5): SOURCE DIRECTORY TYPE OPTIONS");
    }
    return good ? 0 : 1;
}

}  // namespace

int run_import(const Words& words) {
    const auto program = foreign_of(words.arguments[0]);
    if (!program) {
        throw Failure("'" + words.arguments[0] + "' is none of mergerfs, fuse-overlayfs and overlay", ExitCode::usage);
    }
    const bool line_given = words.arguments.size() > 1;
    if (line_given + !words.fstab.empty() + !words.storage.empty() > 1) {
        throw Failure("a LINE, --fstab and --storage are three ways to say the same; leave one", ExitCode::usage);
    }
    if (!words.storage.empty()) {
        if (*program != Foreign::fuse_overlayfs) {
            throw Failure("--storage is for fuse-overlayfs; nothing else has a storage.conf", ExitCode::usage);
        }
        const Imported imported = import_storage(read_text(words.storage), PLYFS_DROP_IN);
        tell(imported, words.json, words.storage);
        return imported.faults.empty() ? 0 : 1;
    }
    // The shell may have divided it.
    std::string line;
    for (std::size_t i = 1; i < words.arguments.size(); ++i) line += words.arguments[i] + " ";
    return import_lines(*program, line_given ? line : read_text(words.fstab.empty() ? "-" : words.fstab), words);
}

}  // namespace plyfs::ctl

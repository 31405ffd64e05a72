#include "ctl/config_save.h"

#include <fstream>
#include <sstream>

#include "base/defer.h"
#include "base/log.h"
#include "config/error.h"
#include "config/options.h"
#include "control/option_values.h"
#include "ctl/config_edit.h"
#include "ctl/config_read.h"
#include "ctl/failure.h"
#include "ctl/text.h"
#include "sys/attributes.h"
#include "sys/entry.h"
#include "sys/file_io.h"
#include "sys/open.h"
#include "sys/stat.h"

namespace plyfs::ctl {
namespace {

[[noreturn]] void fail(const std::string& file, const std::string& why) {
    throw Failure(shown(file) + " stays as it is: " + why + "; until the mount ends the option is set");
}

std::string read_text(const std::string& file) {
    std::ifstream in(file);
    std::ostringstream text;
    if (!in) fail(file, log::errno_text(errno));
    if (in.peek() != std::ifstream::traits_type::eof()) text << in.rdbuf();
    return text.str();
}

config::Config settled(const std::string& file, const std::string& path) {
    config::Draft draft = read_as_mount(path);
    try {
        return config::settle(draft, true);
    } catch (const config::Error& error) {
        fail(file, "it would have a fault, " + error.messages()[0]);
    }
}

// What its value is told under; none: nowhere.
std::vector<std::string> told_names(const std::string& name) {
    const auto wanted = config::find_option(name);
    if (wanted && wanted->option->name == "timeout") return {"cache.entry", "cache.attr", "cache.negative-entry"};
    for (const std::string_view told : control::told_options()) {
        const auto match = config::find_option(told);
        if (wanted && match && match->option == wanted->option) return {std::string(told)};
    }
    return {};
}

std::string value_now(const Mount& mount, const std::string& option) {
    Json request;
    request.add("command", "get").add("option", option);
    const Json answer = ask(mount, request);
    const auto& members = answer["options"].members();
    return members.empty() ? "" : members[0].second.text();
}

void require_same(const Mount& mount, const std::string& file, const config::Config& read, const NamedValues& options) {
    for (const auto& [name, value] : options) {
        const auto told = told_names(name);
        const auto is_so = [&](const auto& one) { return control::option_value(read, one) == value_now(mount, one); };
        if (std::all_of(told.begin(), told.end(), is_so)) continue;
        fail(file,
             "another option in it goes before " + name + ", or the mount's command line does; change it by hand");
    }
}

// A new file beside it, complete and as it.
void write_part(BorrowedFd dir, const Name& part, BorrowedFd old, const std::string& text, const std::string& file) {
    const auto made = sys::open_file(dir, part, O_RDWR | O_CREAT | O_EXCL, 0600);
    const auto st = made ? sys::stat_fd(old) : made.error();
    if (!st) fail(file, log::errno_text(st.error().value()));
    auto done = sys::copy_xattrs(old, *made, [](std::string_view) { return sys::XattrRule::carry_if_able; });
    if (done) done = sys::set_owner(*made, st->stx_uid, st->stx_gid);
    if (done) done = sys::set_mode(*made, st->stx_mode);
    for (std::size_t at = 0; done && at < text.size();) {
        const auto wrote = sys::write_at(*made, std::as_bytes(std::span(text)).subspan(at), at);
        if (wrote) at += *wrote;
        if (!wrote) done = wrote.error();
    }
    if (done) done = sys::sync_file(*made);
    if (!done) fail(file, log::errno_text(done.error().value()));
}

}  // namespace

std::string config_file_of(const Mount& mount) {
    const Json status = ask(mount, "status");
    const std::string& file = status["config_file"].text();
    if (file.empty()) {
        throw Failure(shown(mount.path) +
                      " was given no configuration file by an absolute path, so there is none to "
                      "save in; write one and mount with config=FILE");
    }
    const auto real = real_path(file);
    if (!real) throw Failure(shown(file) + ": " + log::errno_text(errno));
    return *real;
}

void save_options(const Mount& mount, const std::string& file, const NamedValues& options) {
    std::string text = read_text(file);
    for (const auto& [name, value] : options) {
        try {
            text = with_option(text, name, value);
        } catch (const Failure& failure) {
            fail(file, failure.what());
        }
    }
    const std::size_t slash = file.rfind('/');
    const std::string last = file.substr(slash + 1), part_text = "." + last + ".part";
    const auto dir = sys::open_root(slash == 0 ? "/" : file.substr(0, slash).c_str());
    const auto name = Name::parse(last), part = Name::parse(part_text);
    if (!dir || !name || !part) fail(file, "its directory can not be used");
    const auto old = sys::open_file(*dir, *name, O_RDONLY);
    if (!old) fail(file, log::errno_text(old.error().value()));
    const auto left = sys::unlink_file(*dir, *part);
    if (!left && !left.failed_with(ENOENT)) fail(file, log::errno_text(left.error().value()));
    Defer remove([&] {
        if (!sys::unlink_file(*dir, *part)) log::debug("{} stays", part_text);
    });
    write_part(*dir, *part, *old, text, file);
    require_same(mount, file, settled(file, file.substr(0, slash + 1) + part_text), options);
    const auto named = sys::rename_entry(*dir, *part, *dir, *name);
    if (!named) fail(file, log::errno_text(named.error().value()));
    remove.cancel();
    const auto readable = sys::open_dir_for_reading(*dir);
    const auto synced = readable ? sys::sync_file(*readable) : readable.error();
    if (!synced) throw Failure(shown(file) + ": " + log::errno_text(synced.error().value()));
}

}  // namespace plyfs::ctl

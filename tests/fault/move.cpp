#include "fault/move.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/fd.h"
#include "base/json.h"

namespace plyfs::test {
namespace {

// To the control socket of the mount.
UniqueFd connect_to(const struct stat& in_mount) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path = "/run/plyfs/0-" + std::to_string(minor(in_mount.st_dev)) + ".sock";
    std::memcpy(address.sun_path, path.data(), path.size());
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fd.reset();
    return fd;
}

std::string hear_line(const UniqueFd& from) {
    std::string line;
    char c;
    while (::recv(from.get(), &c, 1, 0) == 1 && c != '\n') line += c;
    return line;
}

}  // namespace

int move_file(const std::string& tree, const std::vector<std::string>& names, const std::function<void()>& go) {
    const std::string first = tree + "/" + names[0];
    struct stat st;
    if (::stat(first.c_str(), &st) != 0) return errno;
    char branch[4096];
    const ssize_t length = ::getxattr(first.c_str(), "user.mergerfs.basepath", branch, sizeof branch);
    if (length < 0) return errno;
    Json paths = Json::array();
    for (const auto& name : names) paths.push(tree.substr(tree.rfind('/')) + "/" + name);
    Json request;
    request.add("command", "move").add("paths", std::move(paths));
    request.add("from", std::string(branch, static_cast<std::size_t>(length)));
    const UniqueFd socket = connect_to(st);
    const std::string text = request.write() + "\n";
    go();
    if (::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) return errno;
    std::string fault;
    const auto answer = Json::read(hear_line(socket), fault);
    if (!answer) return EIO;  // nobody is there any more
    return (*answer)["moved"].is_true() ? 0 : EXDEV;
}

}  // namespace plyfs::test

#include "support/scratch.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "support/check.h"

namespace plyfs::test {
namespace {

std::string base_folder() {
    for (const char* variable : {"PLYFS_TEST_TMP", "TMPDIR"})
        if (const char* value = std::getenv(variable); value && *value) return value;
    return "/tmp";
}

int remove_one(const char* path, const struct stat*, int, struct FTW*) {
    ::remove(path);
    return 0;
}

}  // namespace

Scratch::Scratch() {
    std::string pattern = base_folder() + "/plyfs-test-XXXXXX";
    std::vector<char> buffer(pattern.begin(), pattern.end());
    buffer.push_back('\0');
    if (!::mkdtemp(buffer.data())) skip("can not make a folder in " + base_folder());
    path_ = buffer.data();
    OK(::chmod(path_.c_str(), 0755));
}

Scratch::~Scratch() {
    ::nftw(path_.c_str(), remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

std::string Scratch::dir(const std::string& name) const {
    std::string made = path_ + "/" + name;
    OK(::mkdir(made.c_str(), 0755));
    OK(::chmod(made.c_str(), 0755));
    return made;
}

}  // namespace plyfs::test

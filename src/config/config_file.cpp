#include "config/config_file.h"

#include <boost/filesystem.hpp>

#include <fstream>
#include <sstream>
#include <utility>

#include "config/key_values.h"
#include "config/yaml.h"

namespace plyfs::config {
namespace {

constexpr std::uintmax_t kLongestFile = 1 << 20;

}  // namespace

std::optional<std::string> find_named_file(std::string_view word, const std::string& folder) {
    if (word.empty() || word.front() == '.' || word.find_first_of("/:=") != std::string_view::npos) return std::nullopt;
    std::string path = folder + "/" + std::string(word) + ".yaml";
    boost::system::error_code fault;
    if (!boost::filesystem::exists(path, fault)) return std::nullopt;
    return path;
}

void read_config_file(const std::string& path, Draft& draft, int depth) {
    // Others may have no end, or nobody who writes.
    boost::system::error_code fault;
    if (boost::filesystem::exists(path, fault) && !boost::filesystem::is_regular_file(path, fault)) {
        draft.errors.push_back("configuration file " + path + " can not be read, it is no regular file; name one");
        return;
    }
    if (boost::filesystem::file_size(path, fault) > kLongestFile && !fault) {
        draft.errors.push_back("configuration file " + path + " has more than a megabyte; name the right one");
        return;
    }
    std::ifstream file(path);
    std::stringstream text;
    // An empty file is a configuration that sets nothing, though copying nothing counts as a failure for the
    // stream.
    const bool empty = file && file.peek() == std::ifstream::traits_type::eof() && !file.bad();
    if (!file.is_open() || !(empty || text << file.rdbuf())) {
        draft.errors.push_back("configuration file " + path + " can not be read; check its name and permissions");
        return;
    }
    draft.config.files.push_back(path);
    const std::string base = std::exchange(draft.base, path.substr(0, path.rfind('/') + 1));
    if (is_key_values(text.str())) {
        read_key_values(text.str(), path, draft, depth);
    } else {
        read_yaml_text(text.str(), path, draft);
    }
    draft.base = base;
}

}  // namespace plyfs::config

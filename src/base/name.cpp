#include "base/name.h"

namespace plyfs {

Result<Name> Name::parse(std::string_view bytes) {
    if (bytes.empty() || bytes == "." || bytes == "..") return Errno(EINVAL);
    if (bytes.size() > kMax) return Errno(ENAMETOOLONG);
    if (bytes.find('/') != std::string_view::npos || bytes.find('\0') != std::string_view::npos) return Errno(EINVAL);
    return Name(bytes.data(), bytes.size());
}

}  // namespace plyfs

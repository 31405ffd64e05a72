// Lists of branches and of layers, as on the command line.
#include "config/branch_spec.h"
#include "config/error.h"
#include "target.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace plyfs;
    const auto text = fuzz::text_of(data, size);
    try {
        const auto branches = config::parse_branches(text, "/base");
        fuzz::claim(!branches.empty(), "a list of branches names one, or is refused");
        for (const auto& branch : branches) fuzz::claim(branch.path.starts_with('/'), "a branch's path is absolute");
    } catch (const config::BadValue& fault) {
        fuzz::claim(*fault.what() != 0, "a refusal says why");
    }
    try {
        const auto layers = config::parse_layers(text, "/base");
        fuzz::claim(!layers.lowers.empty(), "a list of layers names one, or is refused");
        for (const auto& path : layers.lowers) fuzz::claim(path.starts_with('/'), "a layer's path is absolute");
        for (const auto& path : layers.data) fuzz::claim(path.starts_with('/'), "a data layer's path is absolute");
    } catch (const config::BadValue& fault) {
        fuzz::claim(*fault.what() != 0, "a refusal says why");
    }
    return 0;
}

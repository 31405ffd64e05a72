// A configuration file in YAML.
#include "config/yaml.h"
#include "settled.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace plyfs;
    config::Draft draft;
    draft.base = "/base/";
    config::read_yaml_text(std::string(fuzz::text_of(data, size)), "file.yaml", draft);
    fuzz::claim_settled(draft);
    return 0;
}

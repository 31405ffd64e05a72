// A configuration file of mergerfs' lines. Those that name a file are left out, which may be any of this machine.
#include "config/key_values.h"
#include "settled.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace plyfs;
    const std::string text(fuzz::text_of(data, size));
    if (text.find("config") != std::string::npos) return 0;
    config::Draft draft;
    draft.base = "/base/";
    config::is_key_values(text);
    config::read_key_values(text, "file", draft);
    fuzz::claim_settled(draft);
    return 0;
}

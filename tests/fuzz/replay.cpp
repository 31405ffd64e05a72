// Runs a fuzz target without libFuzzer: over the seeds named, and over changes of them that are the same each time.
//
//   fuzz_TARGET ROUNDS [SEED_FILE]...
//
// A failure leaves the input in ./crash-TARGET (as libFuzzer does): give it to the same program to see it again.
#include <algorithm>
#include <csignal>
#include <exception>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "target.h"

namespace {

using Input = std::vector<std::uint8_t>;

constexpr std::size_t kLongest = 4096;

std::string crash_file;
const Input* running = nullptr;

void keep_input(int signal) {
    if (running) {
        std::ofstream file(crash_file, std::ios::binary);
        file.write(reinterpret_cast<const char*>(running->data()), static_cast<std::streamsize>(running->size()));
        std::fprintf(stderr, "the input is in %s\n", crash_file.c_str());
    }
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

void run(const Input& input) {
    running = &input;
    LLVMFuzzerTestOneInput(input.data(), input.size());
    running = nullptr;
}

class Changes {
  public:
    explicit Changes(const std::vector<Input>& seeds) : seeds_(seeds) {}

    Input next() {
        Input out = seeds_[pick(seeds_.size())];
        for (std::size_t times = 1 + pick(8); times > 0; --times) change(out);
        if (out.size() > kLongest) out.resize(kLongest);
        return out;
    }

  private:
    std::size_t pick(std::size_t below) { return below ? random_() % below : 0; }

    void change(Input& input) {
        const auto at = input.begin() + static_cast<std::ptrdiff_t>(pick(input.size() + 1));
        const Input& other = seeds_[pick(seeds_.size())];
        const std::size_t from = pick(other.size());
        const std::size_t length = std::min(other.size() - from, 1 + pick(16));
        const auto begin = other.begin() + static_cast<std::ptrdiff_t>(from);
        static constexpr std::string_view kTelling(",=:\\\"/.%*?[]{}#-\n\0 \xff", 20);
        switch (pick(6)) {
            case 0:
                input.insert(at, static_cast<std::uint8_t>(pick(256)));
                break;
            case 1:
                input.insert(at, static_cast<std::uint8_t>(kTelling[pick(kTelling.size())]));
                break;
            case 2:
                input.insert(at, begin, begin + static_cast<std::ptrdiff_t>(length));
                break;
            case 3:
                input.erase(at,
                            at + std::min<std::ptrdiff_t>(input.end() - at, 1 + static_cast<std::ptrdiff_t>(pick(16))));
                break;
            case 4:
                if (at != input.end()) *at ^= static_cast<std::uint8_t>(1U << pick(8));
                break;
            default:
                if (at != input.end()) input.insert(at, pick(64), *at);
        }
    }

    const std::vector<Input>& seeds_;
    std::minstd_rand random_{1};
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s ROUNDS [SEED_FILE]...\n", argv[0]);
        return 2;
    }
    const std::string program = argv[0];
    crash_file = "crash-" + program.substr(program.rfind('/') + 1);
    std::signal(SIGABRT, keep_input);
    std::signal(SIGSEGV, keep_input);
    std::vector<Input> seeds(1);
    for (int i = 2; i < argc; ++i) {
        std::ifstream file(argv[i], std::ios::binary);
        if (!file) {
            std::fprintf(stderr, "%s can not be read\n", argv[i]);
            return 2;
        }
        seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    for (const Input& seed : seeds) run(seed);
    Changes changes(seeds);
    for (long rounds = std::atol(argv[1]); rounds > 0; --rounds) run(changes.next());
    return 0;
}

// plyfs-completions SHELL: prints the completion file of bash, zsh or fish, for the build to install.
#include <iostream>

#include "app/completions.h"

int main(int argc, char** argv) {
    const std::string text = argc == 2 ? plyfs::app::completion_text(argv[1]) : std::string();
    if (text.empty()) {
        std::cerr << "usage: plyfs-completions bash|zsh|fish\n";
        return 1;
    }
    return std::cout << text << std::flush ? 0 : 1;
}

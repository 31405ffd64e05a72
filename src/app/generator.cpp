// plyfs-generator FOLDER [FOLDER FOLDER]: systemd calls it at boot and when it reads its units again, see
// systemd.generator(7). Into the first folder it writes what orders our mounts after their branches.
//
// SYSTEMD_FSTAB names another file than /etc/fstab, as it does for systemd's own generator of mounts.
#include <boost/filesystem.hpp>

#include <cstdlib>
#include <fstream>
#include <iostream>

#include "app/boot_order.h"
#include "base/log.h"
#include "config/config_file.h"

namespace {

using namespace plyfs;

void say(const std::string& line) {
    std::cerr << "plyfs-generator: " << log::in_one_line(line) << "\n";
}

bool write_drop_in(const std::string& folder, const app::DropIn& drop_in) {
    const std::string place = folder + "/" + drop_in.unit + ".d";
    boost::system::error_code fault;
    boost::filesystem::create_directories(place, fault);
    std::ofstream file(place + "/50-plyfs-branches.conf");
    if (file << drop_in.text << std::flush) return true;
    say(place + ": can not be written; the branches may be mounted later than what is made of them");
    return false;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2 && argc != 4) {
        say("usage: plyfs-generator FOLDER [FOLDER FOLDER], see systemd.generator(7)");
        return 1;
    }
    const char* fstab = std::getenv("SYSTEMD_FSTAB");
    const app::BootOrder order =
        app::order_mounts(app::read_fstab(fstab ? fstab : "/etc/fstab"), config::kConfigFolder);
    for (const auto& fault : order.faults) say(fault);
    bool good = true;
    for (const auto& drop_in : order.drop_ins) good = write_drop_in(argv[1], drop_in) && good;
    return good ? 0 : 1;
}

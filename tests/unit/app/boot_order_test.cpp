#include "app/boot_order.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace plyfs::app;

namespace {

using Words = std::vector<std::string>;

struct Folder {
    Folder() {
        std::string name = "/tmp/plyfs-boot-order.XXXXXX";
        REQUIRE(::mkdtemp(name.data()));
        path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    void write(const std::string& name, const std::string& text) { std::ofstream(path + "/" + name) << text; }
    std::string path;
};

const FstabLine kDisk1{"/dev/sda1", "/t/disk1", "ext4", "defaults"};
const FstabLine kDisk2{"/dev/sdb1", "/t/disk2", "ext4", "nofail"};
const FstabLine kOther{"/dev/sdc1", "/t/other", "ext4", "defaults"};

// The lines of the one drop-in of these lines' mounts, less its heading.
Words lines_of(const FstabLine& mount, const std::string& folder = "/nonexistent") {
    const BootOrder order = order_mounts({kDisk1, kDisk2, kOther, mount}, folder);
    CHECK(order.faults == Words{});
    REQUIRE(order.drop_ins.size() == 1);
    CHECK(order.drop_ins[0].unit == "t-pool.mount");
    Words lines;
    std::istringstream in(order.drop_ins[0].text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    REQUIRE(lines.size() >= 2);
    CHECK(lines[1] == "[Unit]");
    lines.erase(lines.begin(), lines.begin() + 2);
    return lines;
}

Words required(const Words& paths) {
    Words lines;
    for (const auto& path : paths) lines.push_back("RequiresMountsFor=\"" + path + "\"");
    return lines;
}

}  // namespace

TEST_CASE("boot order: branches, their modes and escapes are read as for the mount") {
    CHECK(lines_of({"/t/disk1=ro:/t/disk2=RW,50G", "/t/pool", "plyfs", "nofail"}) ==
          required({"/t/disk1", "/t/disk2"}));
    CHECK(lines_of({"/t/a\\:b:/t/c\\=ro", "/t/pool", "plyfs", "defaults"}) == required({"/t/a:b", "/t/c=ro"}));
    CHECK(lines_of({"x", "/t/pool", "fuse.plyfs", "branches=/t/disk1:/t/disk2,x-systemd.automount"}) ==
          required({"/t/disk1", "/t/disk2"}));
    CHECK(lines_of({"plyfs", "/t/pool", "plyfs", "lowerdir=/t/l2:/t/l1::/t/d,upperdir=/t/up,workdir=/t/work"}) ==
          required({"/t/up", "/t/l2", "/t/l1", "/t/d", "/t/work"}));
    // mount(8) tells its helpers to pass over what they do not know.
    const BootOrder order = order_mounts({{"/t/disk1", "/t/pool", "plyfs", "nosuchoption"}}, "/nonexistent");
    CHECK(order.drop_ins.size() == 1);
}

TEST_CASE("boot order: a pattern is every line that is mounted where it fits") {
    CHECK(lines_of({"/t/disk*", "/t/pool", "plyfs", "defaults"}) == required({"/t", "/t/disk1", "/t/disk2"}));
    CHECK(lines_of({"/t/disk[2-9]/data/*", "/t/pool", "plyfs", "defaults"}) == required({"/t", "/t/disk2"}));
    CHECK(lines_of({"/t/disk1/\\*/a*", "/t/pool", "plyfs", "defaults"}) == required({"/t/disk1/*", "/t/disk1"}));
    // Not the mount itself.
    CHECK(lines_of({"/t/*", "/t/pool", "plyfs", "defaults"}) == required({"/t", "/t/disk1", "/t/disk2", "/t/other"}));
}

TEST_CASE("boot order: a pool that may lack branches comes after them and requires none") {
    const Words both{"Wants=t-disk1.mount", "After=t-disk1.mount", "Wants=t-disk2.mount", "After=t-disk2.mount"};
    CHECK(lines_of({"/t/disk1/a:/t/disk2", "/t/pool", "plyfs", "branches-missing=degraded"}) == both);
    CHECK(lines_of({"/t/disk?", "/t/pool", "plyfs", "branches-mount-timeout=5"}) == both);
}

TEST_CASE("boot order: a disk that is not mounted by itself is not mounted for a pool that may lack it") {
    const FstabLine spare{"/dev/spare", "/t/disk9", "ext4", "noauto,nofail"};
    for (std::string missing : {"fail", "degraded"}) {
        const FstabLine pool{"/t/disk*", "/t/pool", "plyfs", "branches-missing=" + missing};
        const BootOrder order = order_mounts({kDisk1, spare, pool}, "/nonexistent");
        REQUIRE(order.drop_ins.size() == 1);
        CHECK(order.drop_ins[0].text.find("disk1") != std::string::npos);
        CHECK(order.drop_ins[0].text.find("disk9") == std::string::npos);
    }
}

TEST_CASE("boot order: configuration files, by option, by name, and as services") {
    Folder folder;
    folder.write("pool.yaml", "branches: [/t/disk1, /t/disk2]\nmountpoint: /t/there/pool\n");
    folder.write("nowhere.yaml", "branches: [/t/disk1]\n");
    folder.write("notes.txt", "nothing of ours");
    const std::string service = "# Made by plyfs-generator of " + folder.path + "/pool.yaml\n[Unit]\n" +
                                "RequiresMountsFor=\"/t/disk1\"\nRequiresMountsFor=\"/t/disk2\"\n" +
                                "RequiresMountsFor=\"/t/there\"\n";
    const DropIn of_service{"plyfs@pool.service", service};
    CHECK(order_mounts({}, folder.path).drop_ins == std::vector{of_service});
    for (const FstabLine& line : {FstabLine{"pool", "/t/pool", "plyfs", "nofail"},
                                  FstabLine{"x", "/t/pool", "plyfs", "config=" + folder.path + "/pool.yaml"}}) {
        const BootOrder order = order_mounts({line}, folder.path);
        CHECK(order.faults == Words{});
        REQUIRE(order.drop_ins.size() == 2);
        CHECK(order.drop_ins[0].unit == "t-pool.mount");
        CHECK(order.drop_ins[0].text.find("\"/t/disk1\"") != std::string::npos);
        CHECK(order.drop_ins[1] == of_service);
    }
}

TEST_CASE("boot order: what can not be read is told, and the rest is done") {
    Folder folder;
    folder.write("bad.yaml", "mountpoint: /t/bad\ncreat: mfs\n");
    folder.write("my pool.yaml", "mountpoint: /t/bad\nbranches: [/t/disk1]\n");
    const BootOrder order = order_mounts(
        {{"/t/disk1=XX", "/t/wrong", "plyfs", "defaults"}, {"/t/disk1", "/t/pool", "plyfs", "defaults"}}, folder.path);
    REQUIRE(order.faults.size() >= 3);
    CHECK(order.faults[0].starts_with("fstab: /t/wrong: "));
    CHECK(order.faults[1].find("bad.yaml:2:1: unknown option 'creat'") != std::string::npos);
    CHECK(order.faults.back().find("my pool.yaml: its name") != std::string::npos);
    REQUIRE(order.drop_ins.size() == 1);
    CHECK(order.drop_ins[0].unit == "t-pool.mount");
}

TEST_CASE("boot order: fstab with blanks, comments and long lines") {
    Folder folder;
    std::string layers = "/t/l0";
    for (int i = 1; i < 500; ++i) layers += ":/t/a-directory-with-a-long-name/" + std::to_string(i);
    folder.write("fstab", "# a comment\n\n/dev/sda1 /t/my\\040disk// ext4 defaults 0 2\n/dev/sdc1 none swap sw 0 0\n" +
                              ("x /t/pool plyfs lowerdir=" + layers + "\n"));
    const auto lines = read_fstab(folder.path + "/fstab");
    REQUIRE(lines.size() == 2);
    CHECK(lines[0].directory == "/t/my disk");
    CHECK(lines[1].options == "lowerdir=" + layers);
    CHECK(read_fstab(folder.path + "/none").empty());
}

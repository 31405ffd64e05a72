#include "app/command_line.h"

#include <doctest/doctest.h>
#include <sys/mount.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace plyfs;
using namespace plyfs::app;
using config::BranchMode;

namespace {

using Words = std::vector<std::string>;

Command parse(Words argv, bool root = true) {
    return parse_command_line({std::move(argv), "/cwd", root});
}

Words faults(Words argv) {
    try {
        parse(std::move(argv));
    } catch (const config::Error& e) {
        CHECK(e.exit_code() == config::ExitCode::usage);
        return e.messages();
    }
    return {};
}

}  // namespace

TEST_CASE("command line: a pool") {
    for (const Words& argv : {Words{"plyfs", "/a:b=ro", "m"}, Words{"plyfs", "-o", "ro", "-o", "rw", "/a:b=ro", "m"},
                              Words{"plyfs", "--", "/a:b=ro", "m"}, Words{"", "/a:b=ro", "m"}}) {
        const Command c = parse(argv);
        CHECK(c.action == Action::mount);
        REQUIRE(c.config.branches.size() == 2);
        CHECK(c.config.branches[1].path == "/cwd/b");
        CHECK(c.config.branches[1].mode == BranchMode::ro);
        CHECK(c.config.mountpoint == "/cwd/m");
        CHECK(c.config.fsname == "/a:b=ro");
        CHECK_FALSE(c.config.layered);
        CHECK_FALSE(c.config.read_only);
        CHECK(c.notices.empty());
    }
}

TEST_CASE("command line: layers, with and without a source word, options before or after") {
    const std::string options = "lowerdir=/l1:/l2,,upperdir=/u,workdir=/w";
    const std::pair<Words, std::string> rows[] = {
        {{"plyfs", "-o", options, "/m"}, "plyfs"},
        {{"plyfs", "-o" + options, "/m"}, "plyfs"},
        {{"plyfs", "overlay", "/m", "-o", options}, "overlay"},
        {{"plyfs", "none", "/m", "-o", options + ",fsname=x"}, "x"},
        {{"plyfs", "/not:a=list=x", "/m", "-o", "workdir=/w,upperdir=/u", "-o", "lowerdir=/l1:/l2,dev,suid"},
         "/not:a=list=x"},
        {{"/usr/sbin/mount.plyfs", "plyfs", "/m", "-o", options}, "plyfs"},
    };
    for (const auto& [argv, fsname] : rows) {
        const Command c = parse(argv);
        CHECK(c.config.layered);
        CHECK(c.config.branches.size() == 3);
        CHECK(c.config.mountpoint == "/m");
        CHECK(c.config.workdir == "/w");
        CHECK(c.config.fsname == fsname);
        CHECK(c.config.subtype == "plyfs");
        // Such a word looks as if it named branches.
        CHECK(c.notices.size() == (fsname.find(':') == std::string::npos ? 0 : 1));
    }
}

TEST_CASE("command line: a long list of branches is no source for df") {
    std::string list = "/a";
    for (int i = 0; i < 100; ++i) list += ":/disk" + std::to_string(i);
    CHECK(parse({"plyfs", list, "/m"}).config.fsname == "plyfs");
}

TEST_CASE("command line: flags") {
    CHECK(parse({"plyfs", "-f", "/a", "/m"}).config.foreground);
    CHECK_FALSE(parse({"plyfs", "/a", "/m"}).config.foreground);
    CHECK(parse({"plyfs", "-d", "/a", "/m"}).config.foreground);
    CHECK(parse({"plyfs", "-d", "/a", "/m"}).config.debug);
    CHECK(parse({"plyfs", "-fd", "/a", "/m"}).config.log_level == log::Level::debug);
    CHECK(parse({"plyfs", "-r", "/a", "/m"}).config.read_only);
    CHECK_FALSE(parse({"plyfs", "-w", "-o", "ro", "/a", "/m"}).config.read_only);
    CHECK(parse({"plyfs", "-v", "/a", "/m"}).config.verbose);
    CHECK(parse({"plyfs", "-v", "-o", "nofail", "/a", "/m"}).notices[0].starts_with("option nofail is for mount(8)"));
    CHECK(parse({"plyfs", "-nt", "plyfs", "/a", "/m"}).config.branches.size() == 1);
    CHECK(parse({"plyfs", "--foreground", "--debug", "/a", "/m"}).config.debug);
    for (const char* help : {"-h", "--help"}) CHECK(parse({"plyfs", help}).action == Action::help);
    for (const char* version : {"-V", "--version"}) CHECK(parse({"plyfs", version}).action == Action::version);
    CHECK(parse({"plyfs", "-h", "-o", "quux"}).action == Action::help);
}

TEST_CASE("command line: called by mount(8)") {
    // As libmount 2.38 writes it for an fstab line.
    Command c =
        parse({"/sbin/mount.fuse.plyfs", "/a:/b", "/m", "-s", "-n", "-v", "-o",
               "rw,noatime,nosuid,nodev,create=mfs,fsname=\"a,b\",user,nofail,_netdev,exec,quux", "-t", "fuse.plyfs"});
    CHECK(c.action == Action::mount);
    CHECK_FALSE(c.config.foreground);
    CHECK_FALSE(c.config.suid);
    CHECK_FALSE(c.config.dev);
    CHECK(c.config.exec);
    CHECK(c.config.fsname == "a,b");
    CHECK(c.config.kernel_options == Words{"noatime"});
    CHECK(c.notices[0] == "option user is for mount(8), which has acted on it; plyfs has nothing to do");
    CHECK(c.notices.back() == "unknown option 'quux' ignored because of -s");

    c = parse({"mount.plyfs", "/a", "/m", "-fv", "-N", "/proc/7/fd/4", "-o", "rw"});
    CHECK(c.action == Action::fake);
    CHECK(c.mount_namespace == "/proc/7/fd/4");
    CHECK(faults({"plyfs", "-N", "x", "/a", "/m"})[0].starts_with("unknown flag '-N'"));
}

TEST_CASE("command line: helpers are told by name") {
    CHECK(is_mount_helper("/usr/sbin/mount.plyfs"));
    CHECK(is_mount_helper("mount.fuse.plyfs"));
    for (const char* other : {"", "plyfs", "/opt/mount.plyfs/plyfs", "mount.plyfs.old"}) {
        CAPTURE(other);
        CHECK_FALSE(is_mount_helper(other));
    }
}

TEST_CASE("command line: fuse-overlayfs is told by name") {
    for (const char* name : {"fuse-overlayfs", "/usr/bin/fuse-overlayfs", "fuse-overlayfs-1.16"})
        CHECK(is_drop_in(name));
    for (const char* other : {"", "plyfs", "fuse-overlayfsd", "mount.fuse-overlayfs", "/fuse-overlayfs/plyfs"}) {
        CAPTURE(other);
        CHECK_FALSE(is_drop_in(other));
    }
    CHECK(std::string(program_name({"/x/fuse-overlayfs"})) == "fuse-overlayfs");
    CHECK(std::string(program_name({})) == "plyfs");
}

TEST_CASE("command line: as fuse-overlayfs") {
    const std::string layers = "lowerdir=/l1:l2,upperdir=/u,workdir=/w";
    for (const Words& argv : {Words{"fuse-overlayfs", "-o", layers, "/m"}, Words{"fuse-overlayfs", "-o" + layers, "/m"},
                              Words{"fuse-overlayfs", "overlay", "/m", "-o", layers + ",dev,suid"},
                              Words{"fuse-overlayfs", "a", "b:c", "/m", "-o", "upperdir=/u,workdir=/w,,", "-o",
                                    "lowerdir=/l1:l2,volatile"}}) {
        const Command c = parse(argv);
        CHECK(c.action == Action::mount);
        CHECK(c.notices.empty());
        CHECK(c.config.branches.size() == 3);
        CHECK(c.config.branches[2].path == "/cwd/l2");
        CHECK(c.config.mountpoint == "/m");
        CHECK(c.config.drop_in);
        CHECK(c.config.subtype == "fuse-overlayfs");
        CHECK(c.config.fsname == "fuse-overlayfs");
        CHECK(c.config.layers.metacopy);
        CHECK(c.config.allow_other);
        CHECK(c.config.default_permissions);
        CHECK(c.config.suid);
        CHECK(c.config.dev);
        CHECK(c.config.kernel_options == Words{"noatime"});
        CHECK_FALSE(c.config.foreground);
        CHECK(c.config.log_level == log::Level::warn);
    }
    const Command c =
        parse({"fuse-overlayfs", "-q", "-df", "--frob", "-o",
               "lowerdir=/l,foo,bar=1,private,metacopy=off,atime,context=\"a,b\",redirect_dir=off", "/m"});
    CHECK(c.notices == Words{"unknown argument ignored: -q", "unknown argument ignored: --frob",
                             "unknown argument ignored: foo", "unknown argument ignored: bar=1"});
    CHECK(c.config.debug);
    CHECK_FALSE(c.config.layers.metacopy);
    CHECK(c.config.kernel_options == Words{"context=\"a,b\""});
    CHECK(parse({"fuse-overlayfs", "--version"}).action == Action::version);
    CHECK(parse({"fuse-overlayfs", "-h"}).action == Action::help);

    CHECK(faults({"fuse-overlayfs", "/m"})[0].starts_with("there is nothing to merge; name the layers"));
    CHECK(faults({"fuse-overlayfs", "-o", "lowerdir=/l,upperdir=/u", "/m"})[0].starts_with("upperdir= needs workdir="));
    CHECK(faults({"fuse-overlayfs", "-o", "lowerdir=/l"})[0].starts_with("the mountpoint is missing"));

    Invocation told{{"fuse-overlayfs", "-o", "lowerdir=/l", "/m"}, "/", true, {"upper-format=aufs", "passthrough=off"}};
    const Command aufs = parse_command_line(told);
    CHECK(aufs.config.layers.upper_format == config::UpperFormat::aufs);
    CHECK(aufs.config.passthrough == config::Passthrough::off);
    told.argv[0] = "plyfs";
    CHECK(parse_command_line(told).config.passthrough == config::Passthrough::automatic);
}

TEST_CASE("command line: as an engine's mount program") {
    const Command c = parse({"plyfs", "-o",
                             "lowerdir=l/A:l/B,upperdir=/u,workdir=/w,,volatile,uidmapping=:0:100000:65536,"
                             "gidmapping=:0:100000:65536,context=\"u:r:t:s0:c1,c2\",private",
                             "/m"});
    CHECK(c.notices.empty());
    CHECK(c.config.branches[1].path == "/cwd/l/A");
    CHECK_FALSE(c.config.layers.sync);
    CHECK(c.config.layers.uids.size() == 1);
    CHECK(c.config.kernel_options == Words{"context=\"u:r:t:s0:c1,c2\""});
    CHECK_FALSE(c.config.layers.metacopy);
    // Far more than a page of options, as 500 layers make it.
    std::string many = "lowerdir=/" + std::string(60, 'x');
    for (int i = 0; i < 499; ++i) many += ":/" + std::string(56, 'x') + std::to_string(1000 + i);
    CHECK(many.size() > 16384);
    CHECK(parse({"plyfs", "-o", many, "/m"}).config.branches.size() == 500);
    CHECK(faults({"plyfs", "-o", many + ":/one", "/m"}).size() == 1);
}

TEST_CASE("command line: faults, all at once") {
    struct Row {
        Words argv;
        Words starts;
    };
    const Row rows[] = {
        {{}, {"there is nothing to merge", "the mountpoint is missing"}},
        {{"plyfs"}, {"there is nothing to merge", "the mountpoint is missing"}},
        {{"plyfs", "/a"}, {"there is nothing to merge"}},
        {{"plyfs", "-o", "branches=/x", "/a", "/b", "/m"}, {"too many words at '/b'"}},
        {{"plyfs", "-q", "/a", "/m"}, {"unknown flag '-q'"}},
        {{"plyfs", "--forground", "/a", "/m"}, {"unknown flag '--forground'"}},
        {{"plyfs", "/a", "/m", "-o"}, {"-o wants a value after it: OPTIONS"}},
        {{"plyfs", "/a", ""}, {"the mountpoint is an empty word"}},
        {{"plyfs", "/a=rx", "/m"}, {"BRANCHES /a=rx: unknown branch mode 'rx'"}},
        {{"plyfs", "-o", "creat=mfs,timeout=x", "/a", "/m"}, {"unknown option 'creat'", "option timeout: "}},
        {{"plyfs", "-o", "context=\"a", "/a", "/m"}, {"-o: a double quote is not closed"}},
    };
    for (const Row& row : rows) {
        CAPTURE(row.starts[0]);
        const Words lines = faults(row.argv);
        REQUIRE(lines.size() == row.starts.size());
        for (std::size_t i = 0; i < lines.size(); ++i) {
            CAPTURE(lines[i]);
            CHECK(lines[i].starts_with(row.starts[i]));
        }
    }
}

TEST_CASE("command line: the mountpoint as an option or as the last word") {
    CHECK(parse({"plyfs", "-o", "branches=/a,mountpoint=/m"}).config.mountpoint == "/m");
    const Command c = parse({"plyfs", "-o", "branches=/a,mountpoint=/m", "/n"});
    CHECK(c.config.mountpoint == "/n");
    CHECK(c.notices.size() == 1);
}

TEST_CASE("command line: this process") {
    char name[] = "plyfs";
    char* argv[] = {name, nullptr};
    const Invocation invocation = find_invocation(1, argv);
    CHECK(invocation.argv == Words{"plyfs"});
    CHECK(invocation.cwd.starts_with('/'));
    CHECK(find_invocation(0, argv + 1).argv.empty());
}

TEST_CASE("command line: a file in the folder of configurations is called by its name") {
    std::string folder = "/tmp/plyfs-named.XXXXXX";
    REQUIRE(::mkdtemp(folder.data()));
    std::ofstream(folder + "/pool.yaml") << "branches: [/a, disk]\nmountpoint: /srv/pool\ncreate: mfs\n";
    const auto named = [&](Words argv) { return parse_command_line({std::move(argv), "/cwd", true, {}, folder}); };
    for (const Words& argv : {Words{"plyfs", "pool"}, Words{"plyfs", "pool", "/srv/pool"},
                              Words{"/sbin/mount.plyfs", "pool", "/srv/pool", "-o", "rw,nofail"},
                              Words{"/sbin/mount.plyfs", "/srv/pool", "/srv/pool", "-o", "rw"}}) {
        const Command c = named(argv);
        CHECK(c.config.branches.size() == 2);
        CHECK(c.config.branches[1].path == folder + "/disk");
        CHECK(c.config.mountpoint == "/srv/pool");
        CHECK(c.config.fsname == "pool");
        CHECK(c.config.pool.policies.of(config::Function::create) == config::Policy::mfs);
        CHECK(c.notices.empty());
    }
    // Options win over the file, and another mountpoint too.
    const Command other = named({"plyfs", "-o", "create=ff", "pool", "/m"});
    CHECK(other.config.pool.policies.of(config::Function::create) == config::Policy::ff);
    CHECK(other.config.mountpoint == "/m");
    // Directories: by a path, by another name, in a list, and beside options that say what is merged.
    for (const Words& argv :
         {Words{"plyfs", "./pool", "/m"}, Words{"plyfs", "pools", "/m"}, Words{"plyfs", "pool:b", "/m"},
          Words{"plyfs", "pool", "b", "/m"}, Words{"plyfs", "-o", "branches=/b", "pool", "/m"},
          Words{"plyfs", "-o", "lowerdir=/b", "pool", "/m"}}) {
        const Command c = named(argv);
        CHECK(c.config.mountpoint == "/m");
        CHECK(c.config.pool.policies.of(config::Function::create) == config::Policy::pfrd);
    }
    // mount(8) says rw where nobody has said anything.
    std::ofstream(folder + "/still.yaml") << "branches: [/a, disk]\nro: true\n";
    CHECK(named({"plyfs", "still", "/m"}).config.read_only);
    CHECK(named({"/sbin/mount.plyfs", "still", "/m", "-o", "rw,nofail"}).config.read_only);
    CHECK_FALSE(named({"plyfs", "-o", "rw", "still", "/m"}).config.read_only);
    CHECK_FALSE(named({"/sbin/mount.plyfs", "pool", "/m", "-o", "rw"}).config.read_only);
    CHECK(named({"/sbin/mount.plyfs", "pool", "/m", "-o", "ro"}).config.read_only);
    std::filesystem::remove_all(folder);
}

TEST_CASE("command line: a remount is for mount(8), which says what there is besides") {
    const Words told = faults({"plyfs", "-o", "remount,ro", "/a", "/m"});
    REQUIRE(told.size() == 1);
    CHECK(told[0].find("mount -o remount") != std::string::npos);
    const Command command = parse({"mount.plyfs", "nothing", "/m", "-o",
                                   "rw,remount,nofail,create=ff,ro,user_id=0,x-y=z,max_read=4096,nosuid,sync=1,suid"});
    CHECK(command.action == Action::remount);
    CHECK(command.config.mountpoint == "/m");
    CHECK(command.remount.flags == MS_RDONLY);
    REQUIRE(command.remount.options.size() == 2);
    CHECK(command.remount.options[0].name == "create");
    CHECK(command.remount.options[0].value == "ff");
    CHECK(command.remount.options[1].name == "sync");
    CHECK(parse({"mount.plyfs", "n", "/m", "-f", "-o", "remount"}).action == Action::fake_remount);
    CHECK(parse({"mount.plyfs", "n", "/m", "-r", "-o", "remount"}).remount.flags == MS_RDONLY);
}

TEST_CASE("command line: a remount leaves access times to the mount where it does not speak of them") {
    const auto flags = [](const std::string& options) {
        return parse({"mount.plyfs", "n", "/m", "-o", "rw,remount" + options}).remount.flags;
    };
    CHECK(flags("") == 0);
    CHECK(flags(",noatime") == MS_NOATIME);
    CHECK(flags(",noatime,strictatime") == MS_STRICTATIME);
    CHECK(flags(",noatime,atime") == MS_RELATIME);
    CHECK(flags(",noatime,nodiratime,relatime,diratime") == MS_RELATIME);
    CHECK(flags(",noexec=true,nosuid=1,dev=off,exec=yes") == (MS_NOSUID | MS_NODEV));
    CHECK(parse({"mount.plyfs", "n", "/m", "-o", "remount,lazytime,dirsync"}).notices.size() == 2);
}

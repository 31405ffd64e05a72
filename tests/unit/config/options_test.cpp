#include "config/options.h"
#include "config/policy_words.h"

#include <doctest/doctest.h>

#include <set>

#include "config/error.h"
#include "config/option_words.h"

using namespace plyfs;
using namespace plyfs::config;

namespace {

// A pool with these option words; the faults and notices are left in the draft.
Draft apply(const std::string& options) {
    Draft draft;
    draft.base = "/base";
    draft.branches = {{"/a", BranchMode::rw, "/a"}};
    draft.config.mountpoint = "/m";
    apply_words(draft, split_words(options));
    return draft;
}

Config settled(const std::string& options, bool root = true) {
    Draft draft = apply(options);
    CAPTURE(options);
    CHECK(draft.errors.empty());
    return settle(draft, root);
}

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("option strings: commas, escapes, quotes and empty words") {
    struct Row {
        const char* options;
        std::vector<std::pair<std::string, std::string>> expected;  // "-" for no value
    };
    const Row rows[] = {
        {"", {}},
        {",,", {}},
        {"ro", {{"ro", "-"}}},
        {"ro,,dev,", {{"ro", "-"}, {"dev", "-"}}},
        {"create=mfs,ro", {{"create", "mfs"}, {"ro", "-"}}},
        {"fsname=a\\,b,ro", {{"fsname", "a,b"}, {"ro", "-"}}},
        {"fsname=a\\\\,ro", {{"fsname", "a\\\\"}, {"ro", "-"}}},
        {"lowerdir=/a\\:b:/c", {{"lowerdir", "/a\\:b:/c"}}},
        {"context=\"u:r:t:s0:c1,c2\",ro", {{"context", "u:r:t:s0:c1,c2"}, {"ro", "-"}}},
        {"fsname=a\"b,ro", {{"fsname", "a\"b"}, {"ro", "-"}}},
        {"fsname=a=\"b,ro", {{"fsname", "a=\"b"}, {"ro", "-"}}},
        {"fsname=", {{"fsname", ""}}},
        {"branches=/a=ro:/b", {{"branches", "/a=ro:/b"}}},
    };
    for (const Row& row : rows) {
        CAPTURE(row.options);
        const auto words = split_words(row.options);
        REQUIRE(words.size() == row.expected.size());
        for (std::size_t i = 0; i < words.size(); ++i) {
            CHECK(words[i].name == row.expected[i].first);
            CHECK(words[i].value.value_or("-") == row.expected[i].second);
        }
    }
    CHECK_THROWS_AS(split_words("context=\"a,b"), BadValue);
}

TEST_CASE("option table: names are unique, rows are complete, words fit their enums") {
    std::set<std::string> names;
    for (const Option& row : option_table()) {
        CAPTURE(row.name);
        CHECK(names.insert(std::string(row.name)).second);
        CHECK_FALSE(row.help.empty());
        CHECK((row.set != nullptr || row.group == Group::fstab));
        CHECK((row.negative.empty() || row.kind == Kind::flag));
        CHECK((row.fallback.empty() == (row.group == Group::fstab)));
        CHECK((row.kind == Kind::flag || row.kind == Kind::count || row.kind == Kind::ignored || !row.values.empty()));
        REQUIRE(find_option(row.name));
        CHECK(find_option(row.name)->option == &row);
        if (!row.negative.empty()) CHECK(find_option(row.negative)->negative);
    }
}

TEST_CASE("options: dashes and underscores are the same") {
    CHECK(settled("log_level=debug").log_level == log::Level::debug);
    CHECK(settled("log-level=warn").log_level == log::Level::warn);
    CHECK(settled("max_stack_depth=1").max_stack_depth == 1);
    CHECK(settled("entry-timeout=2").entry_timeout == 2.0);
}

TEST_CASE("options: defaults") {
    const Config c = settled("");
    CHECK(c.pool.policies.of(Function::create) == Policy::pfrd);
    CHECK_FALSE(c.entry_timeout);
    CHECK(c.allow_other);
    CHECK(c.default_permissions);
    CHECK_FALSE(c.read_only);
    CHECK(c.dev);
    CHECK(c.suid);
    CHECK(c.exec);
    CHECK(c.transport == Transport::automatic);
    CHECK(c.passthrough == Passthrough::automatic);
    CHECK_FALSE(c.max_stack_depth);
    CHECK(c.locks == Locks::local);
    CHECK(c.log_level == log::Level::info);
    CHECK(c.kernel_options.empty());
    CHECK_FALSE(settled("", false).allow_other);
    CHECK(settled("allow_other", false).allow_other);
    CHECK_FALSE(settled("noallow_other").allow_other);
}

TEST_CASE("options: policies of functions, a later option over an earlier one") {
    const auto policy_of = [](const std::string& words, Function function) {
        return settled(words).pool.policies.of(function);
    };
    for (int i = 0; i < static_cast<int>(Policy::count_); ++i) {
        const auto policy = static_cast<Policy>(i);
        const std::string name(policy_name(policy));
        CHECK(parse_policy(name) == policy);
        CHECK(policy_of("func.chmod=" + name, Function::chmod) == policy);
        CHECK(policy_of("func.chmod=" + name, Function::chown) == Policy::epall);
        for (Function function : {Function::create, Function::mkdir, Function::mknod, Function::symlink}) {
            if (!has_create_form(policy)) continue;
            CHECK(policy_of("create=" + name, function) == policy);
            CHECK(policy_of("category.create=" + name, function) == policy);
        }
        CHECK(policy_of("category.search=" + name, Function::getattr) == policy);
        CHECK(policy_of("category.action=" + name, Function::unlink) == policy);
    }
    CHECK(policy_of("func.mkdir=ff,category.create=mfs", Function::mkdir) == Policy::mfs);
    CHECK(policy_of("category.create=mfs,func.mkdir=ff", Function::mkdir) == Policy::ff);
    CHECK(policy_of("category.create=mfs,func.mkdir=ff", Function::create) == Policy::mfs);
    CHECK(policy_of("category.action=mfs", Function::rename) == Policy::mfs);
    CHECK(policy_of("category.action=mfs,func.rename=ff", Function::rename) == Policy::ff);
    CHECK(policy_of("", Function::symlink) == Policy::pfrd);
    CHECK_THROWS_WITH_AS(parse_policy("epmsf"), "unknown policy 'epmsf'; did you mean 'epmfs'?", BadValue);
    CHECK_THROWS_AS(parse_policy("MFS!"), BadValue);
}

TEST_CASE("options: free space in bytes or as a share") {
    const auto kept = [](const std::string& word) { return settled("minfreespace=" + word).pool.min_free; };
    constexpr std::uint64_t kGiB = 1ULL << 30;
    CHECK(settled("").pool.min_free == MinFree{4 * kGiB, 0.05});
    CHECK(kept("50g") == MinFree{50 * kGiB, std::nullopt});
    CHECK(kept("2T") == MinFree{2048 * kGiB, std::nullopt});
    CHECK(kept("10B") == MinFree{10, std::nullopt});
    CHECK(kept("7") == MinFree{7, std::nullopt});
    CHECK(kept("0") == MinFree{0, std::nullopt});
    CHECK(kept("10%") == MinFree{std::nullopt, 0.1});
    CHECK(kept("0.5%") == MinFree{std::nullopt, 0.005});
    for (const char* bad : {"-1", "-5%", "101%", "%", "5%%", "G", "4X", "4GG", ""}) {
        CAPTURE(bad);
        CHECK_THROWS_AS(parse_min_free(bad), BadValue);
    }
}

TEST_CASE("options: where a file of a full branch goes") {
    const auto policy = [](const std::string& words) { return settled(words).pool.move_policy; };
    CHECK(policy("") == Policy::pfrd);
    CHECK(policy("moveonenospc=true") == Policy::pfrd);
    CHECK(policy("moveonenospc=mspmfs") == Policy::mspmfs);
    CHECK(policy("moveonenospc=mfs,moveonenospc=false") == std::nullopt);
    CHECK(settled("moveonenospc-reserve=1G").pool.move_reserve == MinFree{std::uint64_t{1} << 30, std::nullopt});
    CHECK(apply("moveonenospc=perhaps").errors.size() == 1);
    CHECK(apply("moveonenospc").errors.size() == 1);
}

TEST_CASE("options: words of a list") {
    CHECK(settled("transport=io_uring").transport == Transport::io_uring);
    CHECK(settled("transport=devfuse").transport == Transport::devfuse);
    CHECK(settled("passthrough=off").passthrough == Passthrough::off);
    CHECK(settled("passthrough=on").passthrough == Passthrough::automatic);
    CHECK(settled("locks=forward").locks == Locks::forward);
    CHECK(settled("max-stack-depth=0").max_stack_depth == 0);
    CHECK_FALSE(settled("max-stack-depth=1,max-stack-depth=auto").max_stack_depth);
    for (int i = 0; i <= static_cast<int>(log::Level::off); ++i) {
        const auto level = static_cast<log::Level>(i);
        CHECK(settled("log-level=" + std::string(log::level_name(level))).log_level == level);
    }
}

TEST_CASE("options: flags, their negatives and values") {
    CHECK(settled("ro").read_only);
    CHECK_FALSE(settled("ro,rw").read_only);
    CHECK_FALSE(settled("nodev").dev);
    CHECK(settled("nodev,dev").dev);
    CHECK_FALSE(settled("nosuid").suid);
    CHECK_FALSE(settled("noexec").exec);
    CHECK_FALSE(settled("nodefault_permissions").default_permissions);
    CHECK(settled("ro=true").read_only);
    CHECK_FALSE(settled("ro=off").read_only);
    CHECK(settled("rw=no").read_only);
    CHECK(settled("debug").foreground);
    CHECK(settled("debug").log_level == log::Level::debug);
    CHECK(settled("debug,log-level=error").log_level == log::Level::error);
}

TEST_CASE("options: timeouts") {
    const Config c = settled("timeout=2.5,negative_timeout=0");
    CHECK(c.entry_timeout == 2.5);
    CHECK(c.attr_timeout == 2.5);
    CHECK(c.negative_timeout == 0.0);
    for (const char* bad : {"timeout=", "timeout", "timeout=-1", "timeout=x", "timeout=1s", "timeout=inf",
                            "timeout=nan", "timeout=1e30"}) {
        CAPTURE(bad);
        CHECK(apply(bad).errors.size() == 1);
    }
}

TEST_CASE("options: words that are handed on to the kernel") {
    struct Row {
        const char* options;
        Words handed_on;
    };
    const Row rows[] = {
        {"noatime", {"noatime"}},
        {"noatime,atime", {}},
        {"noatime,relatime,nodiratime", {"noatime", "nodiratime"}},
        {"noatime,noatime", {"noatime"}},
        {"sync", {"sync"}},
        {"sync,async", {}},
        {"nosymfollow", {"nosymfollow"}},
        {"context=a:b:c:s0", {"context=a:b:c:s0"}},
        {"context=\"a:b:c:s0:c1,c2\"", {"context=\"a:b:c:s0:c1,c2\""}},
        {"max_read=128K", {"max_read=131072"}},
    };
    for (const Row& row : rows) {
        CAPTURE(row.options);
        Draft draft = apply(row.options);
        CHECK(draft.errors.empty());
        CHECK(draft.notices.empty());
        CHECK(draft.config.kernel_options == row.handed_on);
    }
}

TEST_CASE("options: what has no effect says so") {
    for (const char* word : {"lazytime", "strictatime", "norelatime", "silent", "mand", "xino=off", "uuid=on",
                             "threaded=1", "writeback=0", "fast_ino=1", "ino32_t", "kernel_cache", "max_write=131072",
                             "splice_read", "allow_root", "nooverride_creds"}) {
        CAPTURE(word);
        Draft draft = apply(word);
        CHECK(draft.errors.empty());
        CHECK(draft.notices.size() == 1);
        CHECK(draft.config.kernel_options.empty());
    }
}

TEST_CASE("options: mergerfs' words without effect say so, unless they ask for nothing else") {
    for (const char* word : {"use_ino", "async-read=true", "direct_io", "cache.writeback=true", "dropcacheonclose=true",
                             "cache.files.process-names=a|b", "func.readdir=cosr:4:8", "func.readdir=cor",
                             "pin-threads=R1L", "process-thread-count=0", "follow-symlinks=all", "nfsopenhack=git",
                             "allow-idmap", "umask=022", "passthrough.io=ro"}) {
        CAPTURE(word);
        CHECK(apply(word).notices.size() == 1);
    }
    for (const char* word : {"dropcacheonclose=false", "cache.writeback=false", "func.readdir=seq",
                             "follow-symlinks=never", "nfsopenhack=off", "passthrough.io=rw", "cache.files=off"}) {
        CAPTURE(word);
        CHECK(apply(word).notices.empty());
        CHECK(apply(word).errors.empty());
    }
    for (const char* word : {"func.readdir=x", "func.readdir=cosr:-1", "func.readdir=cor:1:2:3",
                             "func.readdir=cor:", "func.readdir=seq:1", "scheduling-priority=20", "fuse-msg-size=0",
                             "fuse-msg-size=65536", "readahead=-1", "threads=1000", "busy-poll=-1", "busy-poll=10001",
                             "inodecalc=hash", "statfs-ignore=rw", "cache.files=on", "passthrough.max-stack-depth=0"}) {
        CAPTURE(word);
        CHECK(apply(word).errors.size() == 1);
    }
}

TEST_CASE("options: mergerfs' words for what is here by another name") {
    CHECK(settled("cache.entry=5").entry_timeout == 5.0);
    CHECK(settled("cache.attr=5").attr_timeout == 5.0);
    CHECK(settled("cache.negative_entry=5").negative_timeout == 5.0);
    CHECK(settled("passthrough.io=off").passthrough == Passthrough::off);
    CHECK(settled("passthrough.io=off,passthrough.io=rw").passthrough == Passthrough::automatic);
    CHECK(settled("passthrough.max-stack-depth=1").max_stack_depth == 0);
    CHECK(settled("passthrough.max-stack-depth=2").max_stack_depth == 1);
    CHECK_FALSE(settled("kernel-permissions-check=false").default_permissions);
    CHECK(settled("fuse-msg-size=256").max_request == 1 << 20);
    CHECK(settled("fuse-msg-size=512K").max_request == 512 << 10);
    CHECK(settled("read-thread-count=6").reader_threads == 6);
    CHECK(settled("threads=-1").reader_threads >= 1);
    CHECK(settled("busy-poll=0").busy_poll.count() == 0);
    CHECK(settled("").busy_poll.count() == 100);
    CHECK(settled("readahead=2048").read_ahead_kib == 2048u);
    CHECK_FALSE(settled("readahead=2048,readahead=0").read_ahead_kib);
    for (const char* word : {"never-forget-nodes", "noforget", "remember=-1", "remember-nodes=true", "remember=3600"}) {
        CAPTURE(word);
        CHECK(settled(word).pool.files.keep_nodes);
        CHECK(settled(word).pool.files.handles);
    }
    CHECK_FALSE(settled("remember=0").pool.files.keep_nodes);
    CHECK(settled("statfs-ignore=none").pool.files.statfs_ignore == StatfsIgnore::none);
    CHECK(settled("statfs-ignore=nc").pool.files.statfs_ignore == StatfsIgnore::nc);
    CHECK(settled("inodecalc=hybrid-hash32").pool.files.inodes == InodeCalc::hybrid_hash32);
    CHECK(settled("flush-on-close=opened-for-write").pool.files.flush == FlushOnClose::opened_for_write);
    CHECK_FALSE(settled("posix_acl=false").pool.files.acls);
    CHECK_FALSE(settled("cache.files=off").pool.files.keeps_pages());
    CHECK(settled("cache.files=full").pool.files.keeps_pages());
}

TEST_CASE("options: what containers say is taken without a word") {
    for (const char* word : {"xino=auto", "xino=on", "nfs_export=off", "uuid=null", "verity=off", "private", "rprivate",
                             "rshared", "slave", "unbindable", "override_creds", "index=off", "redirect_dir=off"}) {
        CAPTURE(word);
        Draft draft = apply(word);
        CHECK(draft.errors.empty());
        CHECK(draft.notices.empty());
    }
    CHECK(settled("subtype=x").subtype == "x");
    for (const char* word : {"verity=on", "verity=require", "plugins=p", "redirect_dir=no"}) {
        CAPTURE(word);
        CHECK(apply(word).errors.size() == 1);
    }
}

TEST_CASE("options: layers") {
    const auto layers = [](const std::string& options) {
        Draft draft = apply(options);
        CAPTURE(options);
        CHECK(draft.errors.empty());
        return draft.config.layers;
    };
    CHECK(layers("").redirect_dir == RedirectDir::on);
    CHECK(layers("redirect_dir=follow").redirect_dir == RedirectDir::follow);
    CHECK(layers("redirect_dir=nofollow").redirect_dir == RedirectDir::nofollow);
    CHECK(layers("redirect_dir=off").redirect_dir == RedirectDir::off);
    CHECK_FALSE(layers("").metacopy);
    CHECK(layers("metacopy=on").metacopy);
    CHECK_FALSE(layers("metacopy,metacopy=off").metacopy);
    CHECK(layers("").index == Index::automatic);
    CHECK(layers("index=on").index == Index::on);
    CHECK(layers("index=off").index == Index::off);
    CHECK(layers("userxattr").userxattr);
    const auto with_userxattr = [](const std::string& more) {
        Draft draft = apply("lowerdir=/l,userxattr" + more);
        draft.branches.reset();
        return settle(draft, true).layers.redirect_dir;
    };
    CHECK(with_userxattr("") == RedirectDir::follow);
    CHECK(with_userxattr(",redirect_dir=on") == RedirectDir::on);
    CHECK(layers("upper-format=overlay").upper_format == UpperFormat::overlay);
    CHECK(layers("upper_format=overlay-user").upper_format == UpperFormat::overlay_user);
    CHECK(layers("upper_format=aufs").upper_format == UpperFormat::aufs);
    CHECK(layers("copyup-readers=follow").readers == CopyUpReaders::follow);
    CHECK(layers("xattr_permissions=0").stat_override == StatOverride::off);
    CHECK(layers("xattr_permissions=1").stat_override == StatOverride::privileged);
    CHECK(layers("xattr_permissions=2").stat_override == StatOverride::user);
    CHECK(layers("xattr_permissions=2,xattr_permissions=auto").stat_override == StatOverride::automatic);
    CHECK(layers("static_nlink").static_nlink);
    CHECK_FALSE(layers("noxattrs").xattrs);
    CHECK_FALSE(layers("noxattrs=1").xattrs);
    CHECK(layers("noxattrs=0").xattrs);
    CHECK_FALSE(layers("noacl").acls);
    CHECK(layers("squash_to_uid=12").squash_uid == 12);
    CHECK(layers("squash_to_gid=0").squash_gid == 0);
    CHECK(apply("squash_to_uid=-1").errors.size() == 1);
    CHECK(apply("squash_to_uid=4294967295").errors.size() == 1);
}

TEST_CASE("options: volatile by all its names, and sync of mount(2)") {
    struct Row {
        const char* options;
        bool synced;
        Words handed_on;
    };
    const Row rows[] = {
        {"", true, {}},           {"volatile", false, {}},
        {"fsync=0", false, {}},   {"volatile,fsync=1", true, {}},
        {"sync=0", false, {}},    {"sync=0,sync=1", true, {}},
        {"sync", true, {"sync"}}, {"sync=true,volatile", false, {"sync"}},
        {"sync,async", true, {}}, {"sync,async=0", true, {"sync"}},
    };
    for (const Row& row : rows) {
        CAPTURE(row.options);
        const Draft draft = apply(row.options);
        CHECK(draft.errors.empty());
        CHECK(draft.config.layers.sync == row.synced);
        CHECK(draft.config.kernel_options == row.handed_on);
    }
}

TEST_CASE("options: ranges of ids") {
    const auto ranges = parse_id_ranges(":0:100000:65536:65536:7:1");
    REQUIRE(ranges.size() == 2);
    CHECK(ranges[0].disk == 0);
    CHECK(ranges[0].shown == 100000);
    CHECK(ranges[0].count == 65536);
    CHECK(ranges[1].disk == 65536);
    CHECK(ranges[1].shown == 7);
    CHECK(parse_id_ranges("0:0:4294967295").size() == 1);
    for (const char* bad : {"", ":", "0", "0:1", "0:1:", "0:1:2:", "0:1:2:3", "a:b:c", "0:1:-2", "0:1:0", "::0:1:2",
                            "1:0:4294967295", "0:4294967295:1", "0:1:4294967296", "0:1:2 "}) {
        CAPTURE(bad);
        CHECK_THROWS_AS(parse_id_ranges(bad), BadValue);
    }
    const auto errors = apply("uidmapping=0:1,gidmapping=x").errors;
    REQUIRE(errors.size() == 2);
    CHECK(errors[0].starts_with("option uidmapping: '0:1' is no list of disk:shown:count; "));
    CHECK(apply("uidmapping=:0:100000:65536").config.layers.uids.size() == 1);
}

TEST_CASE("options: words of fstab are left to mount(8)") {
    const char* words =
        "defaults,auto,noauto,nofail,_netdev,user,users,nouser,owner,group,user=joe,x-systemd.automount,"
        "x-gvfs-name=disk,X-mount.mkdir,comment=my disks";
    Draft draft = apply(words);
    CHECK(draft.errors == Words{"unknown option 'X-mount.mkdir'; plyfs --help lists those there are"});
    CHECK(draft.notices.empty());
    draft = Draft();
    draft.config.verbose = true;
    apply_words(draft, split_words("nofail"));
    CHECK(draft.notices.size() == 1);
    CHECK(apply("remount,ro").errors.size() == 1);
}

TEST_CASE("options: an unknown one names the nearest") {
    const std::pair<const char*, const char*> rows[] = {
        {"lowerdri", "lowerdir"},
        {"upper_dir", "upperdir"},
        {"creat", "create"},
        {"noallowother", "noallow_other"},
        {"passthru", "passthrough"},
        {"entry_timout", "entry_timeout"},
        {"loglevel", "log-level"},
        {"rwo", "ro"},
        {"brnaches", "branches"},
        {"quux", ""},
        {"zzzzzzzz", ""},
        {"q", ""},
    };
    for (const auto& row : rows) {
        CAPTURE(row.first);
        CHECK(nearest_option(row.first) == row.second);
    }
    CHECK(apply("creat=mfs").errors == Words{"unknown option 'creat'; did you mean 'create'?"});
    Draft sloppy;
    sloppy.sloppy = true;
    apply_words(sloppy, split_words("creat=mfs"));
    CHECK(sloppy.errors.empty());
    CHECK(sloppy.notices == Words{"unknown option 'creat' ignored because of -s"});
}

TEST_CASE("options: all faults at once") {
    const auto errors = apply("create=best,timeout=x,quux,ro=maybe,max_read=1Z").errors;
    CHECK(errors.size() == 5);
    CHECK(errors[0] ==
          "option create: unknown policy 'best'; use one of all, epall, epff, eplfs, eplus, epmfs, eppfrd, eprand, "
          "erofs, "
          "ff, largest, lfs, lup, lus, mfs, msplfs, msplus, mspmfs, msppfrd, newest, pfrd, rand");
}

TEST_CASE("sizes") {
    CHECK(parse_size("0") == 0);
    CHECK(parse_size("4096") == 4096);
    CHECK(parse_size("7B") == 7);
    CHECK(parse_size("128k") == 131072);
    CHECK(parse_size("3G") == 3ULL << 30);
    CHECK(parse_size("2T") == 2ULL << 40);
    for (const char* bad : {"", "K", "-1", "1X", "1KB", "99999999T", "99999999999999999999"}) {
        CAPTURE(bad);
        CHECK_THROWS_AS(parse_size(bad), BadValue);
    }
}

TEST_CASE("options: copies of a file, in our words and in mergerfs'") {
    CHECK(settled("").pool.policies.of(Function::getattr) == Policy::ff);
    CHECK(settled("selection=newest").pool.policies.of(Function::getattr) == Policy::newest);
    CHECK(settled("selection=largest,category.search=largest").pool.policies.of(Function::getattr) == Policy::largest);
    CHECK(settled("selection=ff,category.action=newest").pool.policies.of(Function::unlink) == Policy::newest);
    CHECK(settled("unlink=winner").pool.unlink_winner);
    CHECK(settled("unlink=winner,category.action=ff").pool.policies.of(Function::chmod) == Policy::ff);
    CHECK_FALSE(settled("unlink=winner,unlink=all").pool.unlink_winner);
    const auto fault = [](const std::string& words) -> std::string {
        try {
            settled(words);
        } catch (const Error& e) {
            return e.messages().size() == 1 ? e.messages()[0] : "several";
        }
        return "none";
    };
    CHECK(fault("selection=newest,category.search=mfs") ==
          "options selection=newest and category.search=mfs both say which copy answers; leave one of them out");
    CHECK(fault("func.getattr=ff,selection=largest") ==
          "options selection=largest and func.getattr=ff both say which copy answers; leave one of them out");
    CHECK(fault("unlink=winner,func.unlink=newest") ==
          "options unlink=winner and func.unlink=newest both say which copies are removed; leave one of them out");
    CHECK(fault("unlink=all,func.unlink=ff").find("both say which copies are removed") != std::string::npos);
    CHECK(fault("unlink=winner,func.unlink=epall") == "none");
}

TEST_CASE("options: what is on a read-only branch of a pool") {
    CHECK(settled("").pool.copy_up);
    CHECK(settled("").pool.whiteouts);
    CHECK_FALSE(settled("copyup=off").pool.copy_up);
    CHECK_FALSE(settled("whiteouts=off").pool.whiteouts);
}

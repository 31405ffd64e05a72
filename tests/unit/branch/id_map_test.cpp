#include "branch/id_map.h"

#include <endian.h>

#include <cstring>
#include <string>

#include <doctest/doctest.h>

#include "branch/acl.h"

using namespace plyfs;

namespace {

config::LayerOptions shifted() {
    config::LayerOptions options;
    options.uids = {{0, 100000, 1000}, {1000, 5000, 1}};
    options.gids = {{0, 200000, 1000}};
    return options;
}

std::vector<std::byte> bytes(const std::string& text) {
    const auto* begin = reinterpret_cast<const std::byte*>(text.data());
    return {begin, begin + text.size()};
}

void put16(std::string& out, std::uint16_t v) {
    v = htole16(v);
    out.append(reinterpret_cast<const char*>(&v), sizeof v);
}
void put32(std::string& out, std::uint32_t v) {
    v = htole32(v);
    out.append(reinterpret_cast<const char*>(&v), sizeof v);
}

struct AclEntry {
    std::uint16_t tag, perm;
    std::uint32_t id;
};

std::vector<std::byte> make_acl(const std::vector<AclEntry>& entries) {
    std::string out;
    put32(out, 2);
    for (const auto& entry : entries) {
        put16(out, entry.tag);
        put16(out, entry.perm);
        put32(out, entry.id);
    }
    return bytes(out);
}

// magic_etc with the effective bit, two words of permitted and inheritable each, and the root of revision 3.
std::vector<std::byte> make_capability(std::optional<std::uint32_t> root) {
    std::string out;
    put32(out, (root ? 0x03000000U : 0x02000000U) | 1U);
    for (std::uint32_t word : {0x400U, 0U, 0U, 0U}) put32(out, word);
    if (root) put32(out, *root);
    return bytes(out);
}

constexpr std::uint32_t kNone = 0xffffffff;

}  // namespace

TEST_CASE("ids: nothing configured changes nothing") {
    const IdMap map;
    CHECK_FALSE(map.translates());
    for (std::uint32_t id : {0U, 1000U, 65534U, 4294967294U}) {
        CHECK(map.shown_uid(id) == id);
        CHECK(map.disk_gid(id) == id);
    }
    CHECK_FALSE(map.translates_value("system.posix_acl_access"));
}

TEST_CASE("ids: ranges are translated both ways, the rest overflows") {
    const IdMap map(shifted());
    CHECK(map.shown_uid(0) == 100000);
    CHECK(map.shown_uid(999) == 100999);
    CHECK(map.shown_uid(1000) == 5000);
    CHECK(map.shown_uid(1001) == kOverflowId);
    CHECK(map.shown_gid(7) == 200007);
    CHECK(map.disk_uid(100999) == 999);
    CHECK(map.disk_uid(5000) == 1000);
    CHECK(map.disk_uid(0) == kOverflowId);
    CHECK(map.disk_gid(200007) == 7);
    CHECK(map.disk_gids({200001, 0}) == std::vector<gid_t>{1, kOverflowId});
}

TEST_CASE("ids: a range up to the last id does not wrap") {
    config::LayerOptions options;
    options.uids = {{0, 4294960000U, 7000}};
    const IdMap map(options);
    CHECK(map.shown_uid(6999) == 4294966999U);
    CHECK(map.disk_uid(4294966999U) == 6999);
    CHECK(map.disk_uid(4294967000U) == kOverflowId);
}

TEST_CASE("ids: what a layer shows shifted already is not shifted twice, and stored unshifted") {
    const IdMap map(shifted());
    CHECK(map.shown_uid(100007) == 100007);
    sys::Stat st = {};
    st.stx_uid = 100007;
    st.stx_gid = 7;
    map.settle(st);
    CHECK(st.stx_uid == 7);
    CHECK(st.stx_gid == 7);
    st.stx_uid = 3000;  // neither here nor there: it stays what it is
    map.settle(st);
    CHECK(st.stx_uid == 3000);
}

TEST_CASE("ids: a squashed owner is shown, not stored") {
    config::LayerOptions options = shifted();
    options.squash_uid = 1;
    const IdMap map(options);
    CHECK(map.squashes());
    CHECK(map.shown_uid(0) == 1);
    CHECK(map.shown_uid(50000) == 1);
    CHECK(map.shown_gid(7) == 200007);
    CHECK(map.disk_uid(100003) == 3);
}

TEST_CASE("ids: named users and groups of an ACL are translated, nothing else of it") {
    const IdMap map(shifted());
    const auto disk = make_acl({{1, 7, kNone}, {2, 5, 3}, {4, 4, kNone}, {8, 6, 9}, {16, 7, kNone}, {32, 0, kNone}});
    const auto shown =
        make_acl({{1, 7, kNone}, {2, 5, 100003}, {4, 4, kNone}, {8, 6, 200009}, {16, 7, kNone}, {32, 0, kNone}});
    for (const char* name : {"system.posix_acl_access", "system.posix_acl_default"}) {
        CHECK(map.translates_value(name));
        CHECK(map.shown_value(name, disk) == shown);
        CHECK(map.disk_value(name, shown) == disk);
        CHECK(map.settled_value(name, shown) == disk);
    }
    CHECK(map.shown_value("user.x", disk) == disk);
    CHECK(map.shown_value("system.posix_acl_access", bytes("junk")) == bytes("junk"));
}

TEST_CASE("ids: file capabilities belong to the root of the layers") {
    const IdMap map(shifted());
    const char* name = "security.capability";
    CHECK(map.shown_value(name, make_capability({})) == make_capability(100000));
    CHECK(map.disk_value(name, make_capability(100000)) == make_capability({}));
    CHECK(map.shown_value(name, make_capability(5)) == make_capability(100005));
    CHECK(map.disk_value(name, make_capability(100005)) == make_capability(5));
    // Those of a root that is none of the mount's stay.
    CHECK(map.disk_value(name, make_capability({})) == make_capability({}));
    CHECK(map.shown_value(name, bytes("x")) == bytes("x"));
}

TEST_CASE("acl: the permissions it stands for") {
    CHECK(*acl::permissions(make_acl({{1, 7, kNone}, {4, 5, kNone}, {32, 1, kNone}})) == 0751);
    auto masked = make_acl({{1, 6, kNone}, {2, 7, 3}, {4, 7, kNone}, {16, 4, kNone}, {32, 0, kNone}});
    CHECK(*acl::permissions(masked) == 0640);
    CHECK(acl::set_permissions(masked, 0711));
    CHECK(*acl::permissions(masked) == 0711);
    CHECK(masked == make_acl({{1, 7, kNone}, {2, 7, 3}, {4, 7, kNone}, {16, 1, kNone}, {32, 1, kNone}}));
    CHECK_FALSE(acl::permissions(bytes("12345")));
    // A class twice or not at all, or others named without a mask: nobody can say what its mode is.
    CHECK_FALSE(acl::permissions(make_acl({{1, 7, kNone}, {1, 0, kNone}, {4, 5, kNone}, {32, 1, kNone}})));
    auto partial = make_acl({{1, 7, kNone}, {4, 5, kNone}});
    CHECK_FALSE(acl::set_permissions(partial, 0711));
    CHECK_FALSE(acl::permissions(make_acl({{1, 7, kNone}, {2, 6, 1000}, {4, 5, kNone}, {32, 1, kNone}})));
    auto junk = bytes("");
    CHECK_FALSE(acl::set_permissions(junk, 0));
}

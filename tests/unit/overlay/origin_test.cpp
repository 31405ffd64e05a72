// The form of overlay.origin, of the names in the index and of overlay.nlink; and the index as a directory.
#include "overlay/origin_format.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "branches.h"

using namespace plyfs;
using origin::LinkCount;

namespace {

origin::Bytes bytes(std::initializer_list<int> list) {
    origin::Bytes out;
    for (int one : list) out.push_back(static_cast<std::byte>(one));
    return out;
}

// What Linux wrote for a file on ext4, on a little-endian machine.
const origin::Bytes kOfLinux =
    bytes({0x00, 0xfb, 0x1d, 0x00, 0x01, 0x0e, 0x4c, 0x67, 0xb1, 0x12, 0x95, 0x47, 0x32, 0x8c, 0x0c,
           0xe4, 0xf4, 0x46, 0x4e, 0xb1, 0xfd, 0x0e, 0x00, 0x00, 0x00, 0x66, 0x19, 0xe7, 0x6d});

}  // namespace

TEST_CASE("origin: what the kernel wrote is read and written the same") {
    const auto read = origin::decode(kOfLinux);
    REQUIRE(read);
    CHECK(read->handle.type == 1);
    CHECK(read->handle.bytes == bytes({0x0e, 0, 0, 0, 0x66, 0x19, 0xe7, 0x6d}));
    CHECK(read->uuid[0] == std::byte{0x0e});
    CHECK(read->uuid[15] == std::byte{0xfd});
    CHECK_FALSE(read->upper);
    CHECK(origin::encode(*read) == kOfLinux);
    auto of_upper = *read;
    of_upper.upper = true;
    const auto stored = origin::encode(of_upper);
    CHECK(stored[3] == std::byte{4});
    CHECK(origin::decode(stored)->upper);
    CHECK(origin::index_name(kOfLinux) == "00fb1d00010e4c67b1129547328c0ce4f4464eb1fd0e0000006619e76d");
}

TEST_CASE("origin: whatever else is stored there is unknown") {
    CHECK_FALSE(origin::decode({}));
    for (std::size_t size = 0; size < kOfLinux.size(); ++size) {
        CHECK_FALSE(origin::decode(std::span(kOfLinux).first(size)));
    }
    struct Change {
        std::size_t at;
        int value;
    };
    for (Change change : {Change{0, 1}, Change{1, 0xfa}, Change{2, 0x1e}, Change{2, 20}, Change{2, 0}, Change{3, 1},
                          Change{3, 8}, Change{3, 0x80}}) {
        auto other = kOfLinux;
        other[change.at] = static_cast<std::byte>(change.value);
        CAPTURE(change.at);
        CAPTURE(change.value);
        CHECK_FALSE(origin::decode(other));
    }
    auto longer = kOfLinux;
    longer.push_back(std::byte{7});
    REQUIRE(origin::decode(longer));
    CHECK(origin::decode(longer)->handle == origin::decode(kOfLinux)->handle);
    auto any_endian = kOfLinux;
    any_endian[3] = std::byte{3};
    CHECK(origin::decode(any_endian));
}

TEST_CASE("origin: a handle that does not fit has no form") {
    origin::Origin big;
    big.handle.type = 1;
    big.handle.bytes.resize(255 - 21);
    CHECK(origin::encode(big).size() == 255);
    big.handle.bytes.resize(255 - 20);
    CHECK(origin::encode(big).empty());
    big.handle.bytes.resize(8);
    big.handle.type = 256;
    CHECK(origin::encode(big).empty());
}

TEST_CASE("origin: link counts") {
    using From = LinkCount::From;
    CHECK(origin::encode(LinkCount{From::upper, 1}) == "U+1");
    CHECK(origin::encode(LinkCount{From::upper, -1}) == "U-1");
    CHECK(origin::encode(LinkCount{From::lower, 0}) == "L+0");
    for (int difference : {0, 1, -1, 12345, -12345}) {
        for (From from : {From::upper, From::lower}) {
            const LinkCount count{from, difference};
            CHECK(origin::decode_link_count(origin::encode(count)) == count);
        }
    }
    for (const char* wrong : {"", "U", "U+", "U1", "X+1", "U+1x", "U+99999999999", "u+1", " U+1"}) {
        CAPTURE(wrong);
        CHECK_FALSE(origin::decode_link_count(wrong));
    }
}

#include "base/json.h"

#include <doctest/doctest.h>

using plyfs::Json;

namespace {

Json read(const std::string& text) {
    std::string fault;
    auto json = Json::read(text, fault);
    INFO(text, ": ", fault);
    REQUIRE(json);
    return *json;
}

std::string fault_of(const std::string& text) {
    std::string fault;
    CHECK_FALSE(Json::read(text, fault));
    return fault;
}

}  // namespace

TEST_CASE("json: values are written in one line and read back") {
    Json json;
    json.add("text", "a \"b\" \\ \n\t").add("number", 18446744073709551615U).add("less", -5).add("part", 0.25);
    json.add("yes", true).add("none", Json()).add("list", Json::array()).add("map", Json::object());
    const std::string text = json.write();
    CHECK(text == R"({"text":"a \"b\" \\ \u000a\u0009","number":18446744073709551615,"less":-5,"part":0.25,)"
                  R"("yes":true,"none":null,"list":[],"map":{}})");
    const Json back = read(text);
    CHECK(back.write() == text);
    CHECK(back["text"].text() == "a \"b\" \\ \n\t");
    CHECK(back["number"].number() == 18446744073709551615U);
    CHECK(back["less"].real() == -5);
    CHECK(back["yes"].is_true());
    CHECK(back["nothing of the name"]["at all"].text().empty());
    CHECK(Json(1.0 / 0.0).write() == "null");
}

TEST_CASE("json: bytes that are no UTF-8 survive") {
    for (const std::string bytes :
         {"\xff", "a\x80z", "\xc3", "\xc3\xa9", "\xed\xa0\x80", "\xf0\x9f\x98\x80", "\xc0\xaf", "\xf4\x90\x80\x80"}) {
        const std::string written = Json(bytes).write();
        CAPTURE(written);
        CHECK(read(written).text() == bytes);
    }
    CHECK(Json("\xff").write() == "\"\\udcff\"");
    CHECK(Json("\xc3\xa9").write() == "\"\xc3\xa9\"");
    CHECK(read(R"("\ud83d\ude00")").text() == "\xf0\x9f\x98\x80");
    CHECK(read(R"("\u00e9\/\b")").text() == "\xc3\xa9/\b");
}

TEST_CASE("json: what is none is refused") {
    for (const std::string text : {"",
                                   "{",
                                   "{\"a\"}",
                                   "{\"a\":1,}",
                                   "[1 2]",
                                   "[1,]",
                                   "tru",
                                   "01",
                                   "1.",
                                   "-",
                                   "1e",
                                   "\"a",
                                   "\"\\x\"",
                                   "\"\\u12\"",
                                   "\"\\ud800\"",
                                   "\"\\ud800\\u0041\"",
                                   "\"\\udc00\"",
                                   "\"\xff\"",
                                   "\"\x01\"",
                                   "{a:1}",
                                   "1 2",
                                   "'a'",
                                   "&a 1"}) {
        CAPTURE(text);
        CHECK_FALSE(fault_of(text).empty());
    }
    CHECK(fault_of("[1, x]") == "byte 4: a value is wanted here");
    CHECK(fault_of(std::string(100, '[') + std::string(100, ']')).find("inside each other") != std::string::npos);
}

// What is JSON and what is not, by RFC 8259, and where an error is told.
#include "runtime/support/Json.h"
#include "runtime/support/Error.h"
#include "tests/runtime/Temporary.h"

#include <gmock/gmock.h>

#include <cmath>

namespace kiln {
namespace {

using testing::errorOf;
using ::testing::HasSubstr;

std::string jsonAgain(const std::string &text) { return Json::parse(text, "it").str(); }
std::string jsonError(const std::string &text, int depth = 200) {
  return errorOf([&] { Json::parse(text, "it", depth); });
}

TEST(Json, WhatItReads) {
  for (const char *same : {"{}", "[]", "null", "true", "false", "0", "-1", "\"\"", "[[],{},[null]]", "1.5", "-2.25e-07",
                           R"({"a":{"b":[1,"c"]},"d":false})", "9223372036854775807", "-9223372036854775808"})
    EXPECT_EQ(jsonAgain(same), same);
  EXPECT_EQ(jsonAgain(" [ 1 ,\t2\r\n, { \"a\" : 3 } ] \n"), R"([1,2,{"a":3}])");
  EXPECT_EQ(jsonAgain("\xef\xbb\xbf[1]"), "[1]"); // a byte order mark is no part of the text
  EXPECT_EQ(Json::parse(R"("\"\\\/\b\f\n\r\t")", "it").string(), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(Json::parse(R"("\u0041\u00e9\u20AC\ud83d\uDE00")", "it").string(), "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(Json::parse("\"\xc3\xa9\x7f\"", "it").string(), "\xc3\xa9\x7f");
  EXPECT_EQ(Json::parse(R"("\u0000")", "it").string(), std::string(1, '\0'));
}

TEST(Json, Numbers) {
  EXPECT_TRUE(Json::parse("-0", "it").isInt());
  EXPECT_EQ(Json::parse("1e2", "it").kind(), Json::Kind::Float);
  EXPECT_EQ(Json::parse("1E+2", "it").number(), 100);
  EXPECT_EQ(Json::parse("0.1", "it").number(), 0.1);
  EXPECT_EQ(Json::parse("5e-324", "it").number(), 5e-324);
  // Beyond 64 bits: as close as a float comes.
  EXPECT_EQ(Json::parse("9223372036854775808", "it").number(), 9223372036854775808.0);
  EXPECT_EQ(Json::parse("-9223372036854775809", "it").number(), -9223372036854775808.0);
  EXPECT_EQ(Json::parse("-1e-400", "it").number(), 0);
  EXPECT_TRUE(std::signbit(Json::parse("-1e-400", "it").number()));
  EXPECT_EQ(jsonError("[1e999]"), "it: byte 6: not valid JSON near '1e999'");
  for (const char *wrong : {"01", "+1", "-", "1.", ".5", "1e", "1e+", "0x1", "1_0", "NaN", "Infinity", "--1"})
    EXPECT_THAT(jsonError(wrong), HasSubstr("not valid JSON")) << wrong;
}

TEST(Json, WhatItRefuses) {
  for (const std::string wrong : {"",
                                  " ",
                                  "{",
                                  "[",
                                  "]",
                                  "}",
                                  "[1,]",
                                  "[,1]",
                                  "[1 2]",
                                  "{\"a\"}",
                                  "{\"a\":}",
                                  "{\"a\":1,}",
                                  "{a:1}",
                                  "{1:2}",
                                  "{\"a\" 1}",
                                  "[1}",
                                  "{\"a\":1]",
                                  "[]]",
                                  "1 2",
                                  "tru",
                                  "truE",
                                  "nul",
                                  "'a'",
                                  "\"",
                                  "\"\\",
                                  "\"\\q\"",
                                  "\"\\u12g4\"",
                                  "\"\\u123",
                                  "\"\\ud83d\"",
                                  "\"\\ud83d\\n\"",
                                  "\"\\ud83dx\"",
                                  "\"\\ud83d\\u0041\"",
                                  "\"\\ude00\"",
                                  "\"\n\"",
                                  "\"\x80\"",
                                  "\"\xc0\x80\"",
                                  "\"\xed\xa0\x80\"",
                                  "\"\xe2\x82\"",
                                  "\"\xf4\x90\x80\x80\"",
                                  "\"\xff\"",
                                  "// a\n1"})
    EXPECT_THAT(jsonError(wrong), HasSubstr("not valid JSON")) << wrong;
  EXPECT_THAT(jsonError(std::string("1\0", 2)), HasSubstr("byte 2: not valid JSON"));
}

TEST(Json, WhereAnErrorIs) {
  EXPECT_EQ(jsonError(R"({"a": tru})"), "it: byte 10: not valid JSON near '\"a\": tru}'");
  EXPECT_EQ(jsonError(R"([1, "two" "three"])"), "it: byte 17: not valid JSON near '\"three\"'");
  EXPECT_EQ(jsonError("[\"a\nb\"]"), "it: byte 4: not valid JSON near '\"a<U+000A>'"); // a line stays a line
  EXPECT_EQ(jsonError(R"({"a":1,"b":2,"a":3})"), "it: the key 'a' stands twice in one object");
  EXPECT_EQ(jsonError("[[[0]]]", 3), "");
  EXPECT_EQ(jsonError("[[[0]]]", 2), "it: nested more than 2 levels deep");
  EXPECT_EQ(jsonError(std::string(100'000, '[')), "it: nested more than 200 levels deep");
}

} // namespace
} // namespace kiln

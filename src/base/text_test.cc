#include "base/text.h"

#include <doctest/doctest.h>

#include <random>

namespace panal {

using Words = std::vector<std::string>;

TEST_CASE("split and join are each other's reverse") {
  CHECK(split("", ',') == Words{""});
  CHECK(split("a,,b,", ',') == Words{"a", "", "b", ""});
  for (const auto* text : {"", ",", "a", "a,b", ",a,,"}) CHECK(join(split(text, ','), ",") == text);
  CHECK(trim(" \t a b \r\n") == "a b");
  CHECK(trim("   ").empty());
}

TEST_CASE("base64 and URLs hold any bytes") {
  std::mt19937 dice(1);
  for (size_t size = 0; size < 70; ++size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(dice());
    CHECK(unbase64(base64(bytes)) == bytes);
    CHECK(url_decode(url_encode(bytes)) == bytes);
  }
  CHECK(base64("any carnal pleas") == "YW55IGNhcm5hbCBwbGVhcw==");
  CHECK(unbase64("-_8") == unbase64("+/8="));
  CHECK(!unbase64("a*b="));
}

TEST_CASE("url_decode takes what is whole and leaves what is not") {
  CHECK(url_decode("a%20b+c") == "a b+c");
  CHECK(url_decode("a+b", true) == "a b");
  CHECK(url_decode("100%") == "100%");
  CHECK(url_decode("%4") == "%4");
  CHECK(url_decode("%zz%41") == "%zzA");
}

TEST_CASE("parse_int takes the whole text or nothing") {
  CHECK(parse_int("42") == 42);
  CHECK(parse_int("-7") == -7);
  CHECK(parse_int("9223372036854775807") == INT64_MAX);
  for (const auto* text : {"", " 1", "1 ", "1x", "0x10", "9223372036854775808", "+1"})
    CHECK_MESSAGE(!parse_int(text), std::string(text));
}

TEST_CASE("glob") {
  CHECK(glob_match("*", ""));
  CHECK(glob_match("a*c", "abbbc"));
  CHECK(glob_match("a?c*", "abcd"));
  CHECK(glob_match("*a*b*", "xxaxxbxx"));
  CHECK(glob_match("*", "*a"));
  CHECK(!glob_match("a*c", "ab"));
  CHECK(!glob_match("", "a"));
  CHECK(!glob_match("?", ""));
  CHECK(!glob_match(std::string(30, '*') + "b", std::string(3000, 'a')));
}

TEST_CASE("sizes as Docker prints and reads them") {
  CHECK(human_size(0) == "0B");
  CHECK(human_size(999) == "999B");
  CHECK(human_size(1000) == "1kB");
  CHECK(human_size(1234567) == "1.235MB");
  CHECK(human_size(5e18) == "5000PB");
  CHECK(parse_bytes("4096") == 4096);
  CHECK(parse_bytes("256m") == 256ll << 20);
  CHECK(parse_bytes("1.5G") == 3ll << 29);
  CHECK(parse_bytes("1kb") == 1024);
  CHECK(parse_bytes("1KiB") == 1024);
  CHECK(parse_bytes("10b") == 10);
  for (const auto* text : {"", "m", "-1", "1x", "1 m x", "9e99t", "99999999999t", "nan", "inf"})
    CHECK_MESSAGE(!parse_bytes(text), std::string(text));
}

TEST_CASE("to_utf8 keeps what is UTF-8 and is always valid") {
  CHECK(to_utf8("gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x8b") == "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x8b");
  for (const auto* text :
       {"\xff", "\xc3", "a\xe2\x82", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80z"}) {
    const std::string once = to_utf8(text);
    CHECK(once != text);
    CHECK(to_utf8(once) == once);
  }
}

}  // namespace panal

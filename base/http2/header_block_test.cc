// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/http2/header_block.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle::http2 {
namespace {

using testing::HasSubstr;

// The texts of the cases have NULs.
template <size_t size>
std::string Bytes(const char (&text)[size]) {
  return {text, size - 1};
}

absl::Status Malformed(const std::string& block) {
  return CheckHeaderBlock(block);
}

TEST(HeaderBlockTest, TheBlocksOfTheStandardPass) {
  // RFC 7541, C.3.1, C.4.1 (Huffman) and C.2.3.
  EXPECT_THAT(CheckHeaderBlock("\x82\x86\x84\x41\x0fwww.example.com"), IsOk());
  EXPECT_THAT(CheckHeaderBlock(
                  Bytes("\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff")),
              IsOk());
  EXPECT_THAT(CheckHeaderBlock("\x10\x08password\x06secret"), IsOk());
  EXPECT_THAT(CheckHeaderBlock(""), IsOk());
  EXPECT_THAT(CheckHeaderBlock("\x3f\xe1\x1f\x82"), IsOk()) << "a table of 4096 bytes";
  EXPECT_THAT(CheckHeaderBlock(EncodeField("name", "value")), IsOk());
}

TEST(HeaderBlockTest, AnIntegerEndsSoon) {
  EXPECT_THAT(Malformed(Bytes("\x00\x7f\x80\x80\x80\x80\x80\x80\x80\x01")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than 5 bytes")));
  EXPECT_THAT(Malformed(Bytes("\x00\x7f\x80\x80")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("ends with the block")));
}

TEST(HeaderBlockTest, AStringIsWithinTheBlock) {
  EXPECT_THAT(Malformed(Bytes("\x00\x7f\x81\xff\xff\x03rest")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("a string of 8388608 bytes in a block that has 4 left")));
  EXPECT_THAT(Malformed(Bytes("\x00\x04name\x05valu")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("5 bytes")));
  EXPECT_THAT(Malformed(Bytes("\x00\x04name")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("missing")));
}

TEST(HeaderBlockTest, AnIndexIsOfTheTables) {
  EXPECT_THAT(Malformed("\x80"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("0")));
  EXPECT_THAT(CheckHeaderBlock("\xff\x3e"), IsOk()) << "the last possible one, 189";
  EXPECT_THAT(Malformed("\xff\x3f"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("field 190")));
}

TEST(HeaderBlockTest, ABlockHasFewFields) {
  const std::string most(kFieldsMax, '\x82');
  EXPECT_THAT(CheckHeaderBlock(most), IsOk());
  EXPECT_THAT(Malformed(absl::StrCat(most, "\x82")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than 100 fields")));
}

TEST(HeaderBlockTest, ATableHasASizeAndKeepsIt) {
  EXPECT_THAT(Malformed("\x3f\xe2\x1f\x82"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("4097 bytes")));
  EXPECT_THAT(CheckHeaderBlock("\x20\x21\x82"), IsOk());
  EXPECT_THAT(Malformed("\x20\x21\x22\x82"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("third size")));
  EXPECT_THAT(Malformed("\x82\x20"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("after a field")));
}

}  // namespace
}  // namespace wattle::http2

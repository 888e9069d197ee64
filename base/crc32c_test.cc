// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/crc32c.h"

#include <string>

#include "gtest/gtest.h"

namespace wattle {
namespace {

// RFC 3720, appendix B.4.
TEST(Crc32cTest, GivesTheChecksumsOfTheStandard) {
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string ascending;
  for (char byte = 0; byte < 32; ++byte) {
    ascending.push_back(byte);
  }
  EXPECT_EQ(Crc32c(ascending), 0x46dd794eu);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(""), 0u);
}

TEST(Crc32cTest, InPartsItIsTheSame) {
  const std::string bytes = "a text of more than two slices, and some";
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    EXPECT_EQ(ExtendCrc32c(Crc32c(bytes.substr(0, cut)), bytes.substr(cut)), Crc32c(bytes)) << cut;
  }
}

}  // namespace
}  // namespace wattle

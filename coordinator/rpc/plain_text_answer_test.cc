// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/plain_text_answer.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::rpc {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const std::string kSettings("\0\0\0\x04\0\0\0\0\0", 9);
const std::string kHeaders("\0\0\x01\x01\x05\0\0\0\x01\x82", 10);

TEST(PlainTextAnswerTest, AFirstCallEndsWithTheRemedy) {
  PlainTextAnswer answer;
  EXPECT_EQ(answer.Take(kPreface + kSettings), kSettings);
  EXPECT_FALSE(answer.done()) << "nothing was called yet";
  const std::string said = answer.Take(kHeaders);
  EXPECT_THAT(said, HasSubstr("wattle-worker enroll TOKEN"));
  const std::string go_away("\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0", 17);
  EXPECT_THAT(said, testing::EndsWith(go_away)) << "a close by this side could take the answer";
  EXPECT_TRUE(answer.done());
}

TEST(PlainTextAnswerTest, BytesMayComeOneByOne) {
  PlainTextAnswer answer;
  std::string said;
  for (const char byte : kPreface + kSettings + kHeaders) {
    EXPECT_FALSE(answer.done());
    said += answer.Take(std::string(1, byte));
  }
  PlainTextAnswer at_once;
  EXPECT_EQ(said, at_once.Take(kPreface + kSettings + kHeaders));
  EXPECT_TRUE(answer.done());
}

TEST(PlainTextAnswerTest, WhatIsNoHttp2HearsNothing) {
  for (const std::string& junk :
       {std::string("POST / HTTP/1.1\r\n"), std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r"),
        kPreface + std::string("\xff\xff\xff\x01\0\0\0\0\x01", 9)}) {
    PlainTextAnswer answer;
    EXPECT_THAT(answer.Take(junk), testing::AnyOf(IsEmpty(), kSettings));
    EXPECT_TRUE(answer.done());
  }
}

}  // namespace
}  // namespace wattle::rpc

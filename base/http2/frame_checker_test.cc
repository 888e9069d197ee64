// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/http2/frame_checker.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/http2/header_block.h"
#include "base/http2/testing/frames_for_test.h"
#include "base/testing/status_matchers.h"

namespace wattle::http2 {
namespace {

using testing::HasSubstr;

constexpr Monotonic kNow(absl::Hours(1));

class FrameCheckerTest : public testing::Test {
 protected:
  // What becomes of the bytes after the preface.
  absl::Status Take(absl::string_view bytes) {
    passed_.clear();
    return checker_.Take(bytes, now_, passed_);
  }
  void SetUp() override { ASSERT_THAT(Take(kPrefaceForTest), IsOk()); }

  const std::string field_ = EncodeField("who", "7");
  FrameChecker checker_{field_};
  Monotonic now_ = kNow;
  std::string passed_;
};

absl::Status WhatBecomesOf(absl::string_view bytes) {
  FrameChecker checker("");
  std::string passed;
  return checker.Take(absl::StrCat(kPrefaceForTest, bytes), kNow, passed);
}

TEST_F(FrameCheckerTest, ACallPassesWithItsField) {
  const std::string data = FrameOf(0, 1, 1, "message");
  ASSERT_THAT(Take(absl::StrCat(FrameOf(1, 4, 1, "\x82\x86"), data)), IsOk());
  EXPECT_EQ(passed_, absl::StrCat(FrameOf(1, 4, 1, absl::StrCat("\x82\x86", field_)), data));
}

// A block in pieces, with padding and a priority, passes as one frame with neither.
TEST_F(FrameCheckerTest, ABlockPassesOnceItIsWhole) {
  const std::string padded =
      std::string("\x02", 1) + std::string("\0\0\0\0\x10", 5) + "\x82" + "pp";
  ASSERT_THAT(Take(FrameOf(1, 0x01 | 0x08 | 0x20, 3, padded)), IsOk());
  EXPECT_EQ(passed_, "");
  ASSERT_THAT(Take(FrameOf(9, 4, 3, "\x86")), IsOk());
  EXPECT_EQ(passed_, FrameOf(1, 0x01 | 0x04, 3, absl::StrCat("\x82\x86", field_)));
}

TEST_F(FrameCheckerTest, TheLargestBlockAndItsFieldPassInTwoFrames) {
  // A value of 127 + 0x7b + (0x7e << 7) bytes.
  const std::string block =
      absl::StrCat(absl::string_view("\0\x01n\x7f\xfb\x7e", 6), std::string(16'378, 'x'));
  ASSERT_EQ(block.size(), kHeaderBlockBytesMax);
  ASSERT_THAT(Take(FrameOf(1, 4 | 1, 1, block)), IsOk());
  EXPECT_EQ(passed_, absl::StrCat(FrameOf(1, 1, 1, block), FrameOf(9, 4, 1, field_)));
}

TEST_F(FrameCheckerTest, WhateverPiecesComeTheSamePasses) {
  const std::string all = absl::StrCat(
      kPrefaceForTest, FrameOf(4, 0, 0, ""), FrameOf(1, 0, 1, "\x82"), FrameOf(9, 4, 1, "\x86"),
      FrameOf(0, 0, 1, "message"), FrameOf(6, 0, 0, "12345678"), FrameOf(0x42, 0, 0, "unknown"));
  FrameChecker whole(field_);
  std::string passed_whole;
  ASSERT_THAT(whole.Take(all, kNow, passed_whole), IsOk());
  FrameChecker in_pieces(field_);
  std::string passed;
  for (const char byte : all) {
    ASSERT_THAT(in_pieces.Take({&byte, 1}, kNow, passed), IsOk());
  }
  EXPECT_EQ(passed, passed_whole);
  EXPECT_THAT(passed, testing::Not(HasSubstr("unknown")));
}

TEST_F(FrameCheckerTest, ABlockWithoutAnEndIsBroken) {
  const std::string field = EncodeField("abcde", std::string(100, 'x'));
  std::string fields;
  for (int i = 0; i < 90; ++i) {
    absl::StrAppend(&fields, field);
  }
  absl::Status taken = Take(FrameOf(1, 0, 1, "\x83"));
  size_t sent = 0;
  while (taken.ok() && sent < (64 << 10)) {
    taken = Take(FrameOf(9, 0, 1, fields));
    sent += fields.size();
    EXPECT_EQ(passed_, "");
  }
  EXPECT_THAT(taken, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than 16384")));
}

TEST_F(FrameCheckerTest, ABlockOfEmptyContinuationsIsBroken) {
  absl::Status taken = Take(FrameOf(1, 0, 1, ""));
  for (int i = 0; i < kContinuationsMax; ++i) {
    ASSERT_THAT(taken, IsOk());
    taken = Take(FrameOf(9, 0, 1, ""));
  }
  ASSERT_THAT(taken, IsOk());
  EXPECT_THAT(Take(FrameOf(9, 0, 1, "")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("too many CONTINUATION")));
}

TEST_F(FrameCheckerTest, WhatIsBrokenStaysSo) {
  EXPECT_FALSE(Take(FrameOf(9, 4, 1, "")).ok());
  EXPECT_FALSE(Take(FrameOf(1, 4, 1, "\x82")).ok());
  EXPECT_EQ(passed_, "");
}

TEST_F(FrameCheckerTest, FramesThatNoClientOfGrpcSendsBreakTheConnection) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"another frame within a header block",
       absl::StrCat(FrameOf(1, 0, 1, "\x82"), FrameOf(6, 0, 0, "12345678"))},
      {"another frame within a header block",
       absl::StrCat(FrameOf(1, 0, 1, "\x82"), FrameOf(9, 4, 3, "\x82"))},
      {"CONTINUATION without", FrameOf(9, 4, 1, "\x82")},
      {"stream 2 is no client's", FrameOf(1, 4, 2, "\x82")},
      {"stream 0 is no client's", FrameOf(0, 0, 0, "x")},
      {"a frame of 16385 bytes", FrameOf(1, 4, 1, std::string(16'385, '\x82'))},
      {"a header block with", FrameOf(1, 4, 1, "\x80")},
      {"more padding", FrameOf(1, 4 | 8, 1, "\x05\x82")},
      {"the length of their padding", FrameOf(1, 4 | 8, 1, "")},
      {"more padding", FrameOf(1, 4 | 0x20, 1, "\x82")},
      {"DATA with padding", FrameOf(0, 8, 1, "\x01xx")},
      {"type 3", FrameOf(3, 0, 1, "12345")},
      {"type 3", FrameOf(3, 0, 0, "1234")},
      {"type 4", FrameOf(4, 0, 0, "12345")},
      {"type 4", FrameOf(4, 0, 1, "")},
      {"type 4", FrameOf(4, 1, 0, "123456")},
      {"type 4", FrameOf(4, 0, 0, std::string(126, '\1'))},
      {"type 5", FrameOf(5, 4, 1, "1234")},
      {"type 6", FrameOf(6, 0, 0, "1234567")},
      {"type 7", FrameOf(7, 0, 0, "1234")},
      {"type 8", FrameOf(8, 0, 1, std::string(4, '\0'))},
      {"type 8", FrameOf(8, 0, 1, "123")},
  };
  for (const auto& [why, bytes] : cases) {
    EXPECT_THAT(WhatBecomesOf(bytes), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(why)));
  }
  FrameChecker checker("");
  std::string passed;
  EXPECT_THAT(checker.Take("GET / HTTP/1.1\r\n", kNow, passed),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("begins with another text")));
}

// Each costs the server more than the client.
TEST_F(FrameCheckerTest, FramesThatMoveNoDataHaveARate) {
  const std::vector<std::string> kinds = {FrameOf(3, 0, 1, "1234"),  FrameOf(4, 0, 0, ""),
                                          FrameOf(4, 1, 0, ""),      FrameOf(6, 0, 0, "12345678"),
                                          FrameOf(2, 0, 1, "12345"), FrameOf(0, 0, 1, ""),
                                          FrameOf(0x42, 0, 0, "x"),  FrameOf(7, 0, 0, "12345678")};
  for (const std::string& kind : kinds) {
    FrameChecker checker("");
    std::string passed;
    ASSERT_THAT(checker.Take(kPrefaceForTest, kNow, passed), IsOk());
    for (int i = 0; i < kControlFramesAtOnce; ++i) {
      ASSERT_THAT(checker.Take(kind, kNow, passed), IsOk());
    }
    const Monotonic later = kNow + absl::Seconds(1);
    for (int i = 0; i < kControlFramesPerSecond; ++i) {
      ASSERT_THAT(checker.Take(kind, later, passed), IsOk());
    }
    EXPECT_THAT(checker.Take(kind, later, passed),
                StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("too many frames")));
  }
}

TEST_F(FrameCheckerTest, WhoeverGetsMuchMayPermitMore) {
  const std::string update = FrameOf(8, 0, 1, "1234");
  for (int i = 0; i < kWindowUpdatesAtOnce; ++i) {
    ASSERT_THAT(Take(update), IsOk());
  }
  checker_.NoteAnswered(10 * kBytesForAWindowUpdate);
  for (int i = 0; i < 10; ++i) {
    ASSERT_THAT(Take(update), IsOk());
  }
  EXPECT_THAT(Take(update),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("WINDOW_UPDATE")));
}

// Once gRPC has said that it takes them.
TEST_F(FrameCheckerTest, DataMayBeLargeAndPassesAsItComes) {
  const std::string frame = FrameOf(0, 0, 1, std::string(1 << 20, 'd'));
  ASSERT_THAT(Take(absl::string_view(frame).substr(0, 1000)), IsOk());
  EXPECT_EQ(passed_, frame.substr(0, 1000));
}

}  // namespace
}  // namespace wattle::http2

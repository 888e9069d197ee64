// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/child/frames/frames.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle::child {
namespace {

using testing::HasSubstr;
using testing::Optional;

TEST(FramesTest, MessagesComeBackWhateverTheirLengthAndTheCuts) {
  const std::string small(1, 'a');
  const std::string middle(127, 'b');
  const std::string large(300, 'c');
  const std::string stream =
      EncodeFrame(small) + EncodeFrame("") + EncodeFrame(middle) + EncodeFrame(large);
  for (size_t cut = 1; cut <= stream.size(); ++cut) {
    FrameReader reader;
    std::vector<std::string> messages;
    for (size_t at = 0; at < stream.size(); at += cut) {
      reader.Append(stream.substr(at, cut));
      for (auto next = *reader.Next(); next; next = *reader.Next()) {
        messages.push_back(*next);
      }
    }
    ASSERT_THAT(messages, testing::ElementsAre(small, "", middle, large)) << "cut " << cut;
  }
}

TEST(FramesTest, ALengthThatIsNoVarintOrTooLargeIsDataLoss) {
  FrameReader endless;
  endless.Append("\xff\xff\xff\xff\xff\xff");
  EXPECT_THAT(endless.Next(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("varint")));
  FrameReader huge;
  huge.Append("\xff\xff\xff\xff\x0f");
  EXPECT_THAT(huge.Next(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("bytes")));
}

}  // namespace
}  // namespace wattle::child

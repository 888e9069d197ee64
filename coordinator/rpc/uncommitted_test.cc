// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/uncommitted.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace wattle::rpc {
namespace {

constexpr auto At = [](absl::Duration age) { return Monotonic(absl::Hours(100) + age); };

TEST(UncommittedBytesTest, CountsWhatWasSentUntilItIsCommittedOrForgotten) {
  UncommittedBytes sent;
  EXPECT_EQ(sent.Of("ann", At({})), 0);
  sent.NoteSent("ann", 100, At({}));
  sent.NoteSent("ann", 50, At(absl::Hours(20)));
  sent.NoteSent("bob", 7, At({}));
  EXPECT_EQ(sent.Of("ann", At(absl::Hours(40))), 150) << "she went on with it";
  EXPECT_EQ(sent.Of("bob", At(absl::Hours(24))), 7);
  EXPECT_EQ(sent.Of("bob", At(absl::Hours(25))), 0);
  sent.NoteSent("bob", 8, At(absl::Hours(25)));
  EXPECT_EQ(sent.Of("bob", At(absl::Hours(25))), 8);
  sent.NoteCommitted("ann", 140);
  EXPECT_EQ(sent.Of("ann", At(absl::Hours(40))), 10);
  sent.NoteCommitted("ann", 1000);  // Its other chunks were in the store.
  EXPECT_EQ(sent.Of("ann", At(absl::Hours(40))), 0);
  sent.NoteCommitted("eve", 5);
  EXPECT_EQ(sent.Of("eve", At({})), 0);
}

TEST(UncommittedBytesTest, RemembersSoManyCallersAndNoMore) {
  UncommittedBytes sent;
  for (size_t i = 0; i <= UncommittedBytes::kCallersMax; ++i) {
    sent.NoteSent(absl::StrCat("caller-", i), 1, At(absl::Seconds(static_cast<double>(i))));
  }
  EXPECT_EQ(sent.Of("caller-0", At({})), 0);
  EXPECT_EQ(sent.Of("caller-1", At({})), 1);
}

}  // namespace
}  // namespace wattle::rpc

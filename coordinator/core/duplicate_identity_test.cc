// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests, in virtual time, which histories of two processes of one identity are a copied card.
#include "coordinator/core/duplicate_identity.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace wattle::core {
namespace {

constexpr absl::Duration kHeartbeat = absl::Seconds(5);

// The history of one stream, and of the hellos beside it. `said`: whether a hello counted as that
// of a copied card.
class DuplicateIdentityTest : public testing::Test {
 protected:
  void Pass(absl::Duration time) { now_ = Monotonic(now_.since_boot() + time); }
  void HeardEach(absl::Duration interval, int times) {
    for (int i = 0; i < times; ++i) {
      Pass(interval);
      detector_.OnMessage(now_);
    }
  }
  bool Hello(const std::string& process) { return detector_.IsDuplicate(process, now_); }

  Monotonic now_{absl::Hours(1)};
  DuplicateIdentityDetector detector_{kHeartbeat / 2};
};

TEST_F(DuplicateIdentityTest, ACopiedCardIsOnceBothWentOn) {
  HeardEach(kHeartbeat, 10);
  EXPECT_FALSE(Hello("copy")) << "it may be the board itself, restarted";
  HeardEach(kHeartbeat, 1);
  EXPECT_FALSE(Hello("copy")) << "one message may be the rest of what a dead process sent";
  HeardEach(kHeartbeat, 1);
  EXPECT_TRUE(Hello("copy"));
}

// The worker was killed and restarted, and the coordinator has not noticed that the old link is
// dead.
TEST_F(DuplicateIdentityTest, ARestartOrARebootIsNot) {
  HeardEach(kHeartbeat, 10);
  for (int i = 0; i < 100; ++i) {
    Pass(absl::Seconds(1));
    EXPECT_FALSE(Hello("restarted"));
  }
}

// The dead process's remaining bytes arrive at once when the link returns.
TEST_F(DuplicateIdentityTest, LateBytesOfADeadProcessAreNot) {
  HeardEach(kHeartbeat, 10);
  EXPECT_FALSE(Hello("restarted"));
  Pass(absl::Minutes(2));
  HeardEach(absl::Milliseconds(1), 500);
  EXPECT_FALSE(Hello("restarted"));
}

// A worker in a crash loop sends each hello from another process.
TEST_F(DuplicateIdentityTest, ManyStartsBesideOneStreamAreNot) {
  for (int i = 0; i < 1000; ++i) {
    HeardEach(kHeartbeat, 3);
    EXPECT_FALSE(Hello(absl::StrCat("start-", i)));
  }
}

TEST_F(DuplicateIdentityTest, TheRivalsThatItRemembersAreFewAndTheLatest) {
  for (size_t i = 0; i < 3 * DuplicateIdentityDetector::kRivalsMax; ++i) {
    Pass(absl::Seconds(1));
    EXPECT_FALSE(Hello(absl::StrCat("start-", i)));
  }
  HeardEach(kHeartbeat, 2);
  EXPECT_TRUE(Hello(absl::StrCat("start-", 3 * DuplicateIdentityDetector::kRivalsMax - 1)));
  EXPECT_FALSE(Hello("start-0"));
}

}  // namespace
}  // namespace wattle::core

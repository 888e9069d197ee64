// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/upgrade/trial.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::upgrade {
namespace {

constexpr char kOld[] = "1.4.0";
constexpr char kNew[] = "1.5.0";

Monotonic At(absl::Duration since_boot) {
  return Monotonic(since_boot);
}

v1::UpgradeRecord Switched(Monotonic now) {
  v1::UpgradeRecord record;
  record.mutable_order()->set_upgrade_id("u1");
  record.mutable_order()->set_version(kNew);
  record.set_from_release(kOld);
  BeginTrial("boot", now, record);
  return record;
}

// The disk of a board: the record and the link, each of which changes at once or not at all.
struct Board {
  v1::UpgradeRecord record = {};
  std::string link = kOld;
  std::string boot_id = "boot";
  int left = -1;  // changes until a cut; negative: none comes

  bool Change() { return left < 0 || left-- > 0; }
  // Acts like wattle-launch. False: the power was cut.
  bool Launch(Monotonic now) {
    const upgrade::Launch plan = PlanLaunch(record, boot_id, now);
    if (plan.record.has_value()) {
      if (!Change()) {
        return false;
      }
      record = *plan.record;
    }
    if (plan.release.has_value() && *plan.release != link) {
      if (!Change()) {
        return false;
      }
      link = *plan.release;
    }
    return true;
  }
};

TEST(TrialTest, WithoutAnUpgradeNothingIsTouched) {
  v1::UpgradeRecord refused;
  refused.mutable_order()->set_version(kNew);
  refused.set_failure("no room");
  v1::UpgradeRecord passed = Switched(At(absl::Minutes(1)));
  passed.set_passed(true);
  for (const v1::UpgradeRecord& record : {v1::UpgradeRecord(), refused, passed}) {
    const Launch plan = PlanLaunch(record, "boot", At(absl::Hours(1)));
    EXPECT_FALSE(plan.record.has_value()) << record.ShortDebugString();
    EXPECT_FALSE(plan.release.has_value()) << record.ShortDebugString();
  }
}

TEST(TrialTest, ThreeStartsThenBack) {
  Board board{.record = Switched(At(absl::Minutes(1)))};
  for (int start = 1; start <= kStartsMax; ++start) {
    ASSERT_TRUE(board.Launch(At(absl::Minutes(1) + absl::Seconds(5 * start))));
    EXPECT_EQ(board.link, kNew);
    EXPECT_EQ(board.record.starts(), start);
  }
  ASSERT_TRUE(board.Launch(At(absl::Minutes(2))));
  EXPECT_EQ(board.link, kOld);
  EXPECT_THAT(board.record.failure(), testing::HasSubstr("ended 3 times"));
  ASSERT_TRUE(board.Launch(At(absl::Hours(2))));
  EXPECT_EQ(board.link, kOld);
}

TEST(TrialTest, TenMinutesThenBack) {
  Board board{.record = Switched(At(absl::Minutes(1)))};
  ASSERT_TRUE(board.Launch(At(absl::Minutes(1))));
  ASSERT_TRUE(board.Launch(At(absl::Minutes(1) + kTrialTime - absl::Seconds(1))));
  EXPECT_EQ(board.link, kNew);
  ASSERT_TRUE(board.Launch(At(absl::Minutes(1) + kTrialTime)));
  EXPECT_EQ(board.link, kOld);
  EXPECT_THAT(board.record.failure(), testing::HasSubstr("within 9m30s"));
}

TEST(TrialTest, ARebootGivesTheTimeAgainAndNoStart) {
  Board board{.record = Switched(At(absl::Hours(5)))};
  ASSERT_TRUE(board.Launch(At(absl::Hours(5))));
  board.boot_id = "another";
  ASSERT_TRUE(board.Launch(At(absl::Seconds(20))));
  EXPECT_EQ(board.record.starts(), 2);
  EXPECT_EQ(TrialLeft(board.record, "another", At(absl::Seconds(80))),
            kTrialTime - absl::Minutes(1));
  ASSERT_TRUE(board.Launch(At(absl::Minutes(11))));
  EXPECT_EQ(board.link, kOld);
}

TEST(TrialTest, NoReleaseBeforeGoesBackToTheInstalledPrograms) {
  Board board{.record = Switched(At(absl::ZeroDuration())), .link = ""};
  board.record.clear_from_release();
  ASSERT_TRUE(board.Launch(At(absl::ZeroDuration())));
  EXPECT_EQ(board.link, kNew);
  ASSERT_TRUE(board.Launch(At(absl::Hours(1))));
  EXPECT_EQ(board.link, "");
}

// The switch and every start, cut before each change: the link always points to a whole release,
// and a release that never passes is left after at most three starts.
TEST(TrialTest, ACutAtEachChangeLeavesOldOrNewAndEndsAtTheOld) {
  for (int cut = 0; cut < 8; ++cut) {
    for (int cut_again = 0; cut_again < 4; ++cut_again) {
      Board board{.left = cut};
      Monotonic now = At(absl::Minutes(1));
      // The old worker's switch: the record, then the link.
      if (board.Change()) {
        board.record = Switched(now);
        if (board.Change()) {
          board.link = kNew;
        }
      }
      const bool began = board.record.switched();
      int starts_of_new = 0;
      for (int launch = 0; launch < 8; ++launch) {
        now = now + absl::Seconds(5);
        if (!board.Launch(now)) {
          board.left = board.left < 0 ? -1 : cut_again;  // one more cut later
          board.left = launch > 4 ? -1 : board.left;
        } else {
          starts_of_new += board.link == kNew ? 1 : 0;
        }
        ASSERT_TRUE(board.link == kOld || board.link == kNew);
      }
      EXPECT_LE(starts_of_new, kStartsMax) << "cut " << cut << ", then " << cut_again;
      board.left = -1;
      ASSERT_TRUE(board.Launch(now));
      if (board.record.starts() >= kStartsMax || !began) {
        EXPECT_EQ(board.link, kOld) << "cut " << cut << ", then " << cut_again;
      }
    }
  }
}

}  // namespace
}  // namespace wattle::upgrade

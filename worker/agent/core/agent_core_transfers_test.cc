// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Transfers over bad links: retries, and the point at which the core gives up.
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/agent/core/testing/agent_core_fixture.h"

namespace wattle::agent {
namespace {

class TransfersOfTheCoreTest : public AgentCoreTest {
 protected:
  // The present fetch fails. Returns the time until the core fetches again.
  absl::Duration WaitAfterFailedFetch() {
    const int fetches = ports_.fetches;
    const Monotonic failed = wall_;
    core_->OnFetched({.status = absl::UnavailableError("no link")}, Now());
    while (ports_.fetches == fetches && wall_ - failed < absl::Hours(1)) {
      Pass(absl::Milliseconds(100));
    }
    return wall_ - failed;
  }
};

TEST_F(TransfersOfTheCoreTest, BoardsWhoseFetchesFailAtOnceTryAgainAtDifferentTimes) {
  std::set<absl::Duration> waits;
  constexpr int kBoards = 10;
  for (uint64_t board = 1; board <= kBoards; ++board) {
    disk_ = MemoryDisk(board);
    Boot();
    Welcome();
    Desire({Job("j1.1")});
    for (int failure = 1; failure < 6; ++failure) {
      WaitAfterFailedFetch();
    }
    waits.insert(WaitAfterFailedFetch());  // drawn between 15 and 30 s
  }
  EXPECT_GE(waits.size(), kBoards - 2);
}

// Attempt j1.1 stopped with a checkpoint, which the coordinator wants.
class HandOverOfTheCoreTest : public TransfersOfTheCoreTest {
 protected:
  void StopWithCheckpoint() {
    Welcome();
    StartTraining();
    Pass(absl::Seconds(5));
    Checkpoint(3);
    v1::CoordinatorMessage message;
    v1::ReleaseAttempt& release = *message.mutable_desired()->add_releases();
    release.set_attempt_id("j1.1");
    release.set_fencing_token(7);
    core_->OnMessage(message, Now());
    core_->OnRunnerExit({.clean = true, .failure_class = {}, .message = {}}, Now());
    Pass(absl::Seconds(5));
    ASSERT_EQ(ports_.uploads.size(), 1U);
  }
  // The present upload transfers `handed_bytes` and breaks. Waits for the next one, or for the
  // report that the core gave up.
  void Break(int64_t handed_bytes) {
    const size_t uploads = ports_.uploads.size();
    core_->OnUploadProgress({.handed_bytes = handed_bytes, .size_bytes = 1'500'000'000});
    UploadResult broken;
    broken.status = absl::UnavailableError("no link");
    core_->OnUploaded(broken, Now());
    for (int tenths = 0; tenths < 6000 && ports_.uploads.size() == uploads && !GaveUp(); ++tenths) {
      Pass(absl::Milliseconds(100));
    }
  }
  bool GaveUp() { return Facts().back() == "stopped"; }
};

TEST_F(HandOverOfTheCoreTest, GoesOnWhileEachTryBringsMore) {
  StopWithCheckpoint();
  for (int day = 1; day <= 50; ++day) {
    Break(30'000'000 * day);
    ASSERT_FALSE(GaveUp()) << day;
  }
  EXPECT_EQ(ports_.uploads.size(), 51U);
  const v1::HandOverProgress told = core_->MakeHeartbeat(Now()).hand_over();
  EXPECT_EQ(told.attempt_id(), "j1.1");
  EXPECT_EQ(told.handed_bytes(), 1'500'000'000);
  EXPECT_EQ(told.size_bytes(), 1'500'000'000);
  Uploaded();
  EXPECT_EQ(Last("stopped").stopped().checkpoint().artifact_id(), "abc");
  EXPECT_FALSE(core_->MakeHeartbeat(Now()).has_hand_over());
}

// The last bytes of a small checkpoint count as sent, although they never arrive.
TEST_F(HandOverOfTheCoreTest, IsGivenUpAfterSixTriesThatBringNothingFurther) {
  StopWithCheckpoint();
  Break(40'000);
  for (int tries = 1; tries < 6; ++tries) {
    ASSERT_FALSE(GaveUp()) << tries;
    Break(40'000);
  }
  EXPECT_TRUE(GaveUp());
  EXPECT_FALSE(Last("stopped").stopped().has_checkpoint());
}

// Ninety days without contact used to make 8,640 reports, each of which contained the previous one.
TEST_F(TransfersOfTheCoreTest, OneLedgerWaitsWhileTheCoordinatorIsAwayAndTheNewestFollowsIt) {
  const auto ledgers = [this] {
    std::vector<double> joules;
    for (const v1::Report& report : spool_->pending()) {
      if (report.has_ledger()) {
        joules.push_back(report.ledger().idle_energy_joules());
      }
    }
    return joules;
  };
  Pass(absl::Hours(2));
  ASSERT_EQ(ledgers().size(), 1U);
  EXPECT_LT(ledgers()[0], 10.0 * 3600);
  Boot();
  Pass(absl::Hours(1));
  EXPECT_EQ(ledgers().size(), 1U);
  Welcome();
  Acknowledge();
  ASSERT_EQ(ledgers().size(), 1U);
  EXPECT_NEAR(ledgers()[0], 10.0 * 3 * 3600, 10.0 * 300);
  Acknowledge();
  Pass(absl::Minutes(1));
  EXPECT_THAT(ledgers(), testing::IsEmpty());
}

}  // namespace
}  // namespace wattle::agent

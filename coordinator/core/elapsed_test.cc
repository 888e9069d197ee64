// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests of how long an attempt keeps its device: leases, silences, hand-overs, withdrawals. None of
// them depends on the wall clock.
#include "coordinator/core/elapsed.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "coordinator/core/core.h"
#include "coordinator/core/lease.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/standstill_detector.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/fleet_for_test.h"

namespace wattle::core {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

// Attempt j1.1.
const v1::Attempt& First(const Fleet& fleet) {
  return *FindAttempt(fleet.state, AttemptId("j1.1"));
}
bool IsOver(const Fleet& fleet, const Instant& now) {
  return LeaseIsOver(fleet.state, fleet.observations, First(fleet), now.monotonic);
}

TEST(ClockStepTest, NoLeaseEndsWhileItsDeviceIsHeardOf) {
  for (const double days : {-10, 10}) {
    Fleet fleet;
    PlaceFirst(fleet);
    const double lease = LeaseSecondsOf(First(fleet));
    fleet.observations.devices[DeviceId("device-1")].last_seen = Now(lease);
    for (const Instant& now : {Stepped(Now(lease + 1), absl::Hours(24 * days)), Now(lease + 2)}) {
      Do(fleet.state, fleet.observations, Tick{}, now);
      EXPECT_FALSE(IsTerminal(First(fleet).state())) << days;
    }
  }
}

TEST(ClockStepTest, ALeaseEndsInItsTimeWhateverTheWallClockSays) {
  for (const double days : {-10, 10}) {
    Fleet fleet;
    PlaceFirst(fleet);
    const double lease = LeaseSecondsOf(First(fleet));
    const auto over = [&](double seconds) {
      return IsOver(fleet, Stepped(Now(seconds), absl::Hours(24 * days)));
    };
    EXPECT_FALSE(over(lease)) << days;
    EXPECT_TRUE(over(lease + 1)) << days;
  }
}

TEST(ClockStepTest, AJobThatIsQueuedWithoutABackoffWaitsForNoYear) {
  Fleet fleet;
  PlaceFirst(fleet);
  v1::Event queued;
  queued.set_sequence(fleet.state.last_sequence.value() + 1);
  queued.set_at_unix_seconds(-1e9);  // 1938
  queued.mutable_job_state_changed()->set_job_id("j1");
  queued.mutable_job_state_changed()->set_state(v1::JOB_STATE_QUEUED);
  Apply(fleet.state, queued, Now(10).monotonic);
  const v1::JobRecord& record = *FindJob(fleet.state, JobId("j1"));
  EXPECT_FALSE(InBackoff(fleet.state, fleet.observations, record, Now(10).monotonic));
}

TEST(HeartbeatIntervalTest, NoLeaseEndsBetweenTwoPromisedHeartbeats) {
  Fleet fleet;
  PlaceFirst(fleet);
  const double lease = LeaseSecondsOf(First(fleet));
  fleet.observations.devices[DeviceId("device-1")].heartbeat_interval = absl::Seconds(60);
  EXPECT_FALSE(IsOver(fleet, Now(lease + 59)));
  EXPECT_TRUE(IsOver(fleet, Now(lease + 61)));
}

TEST(OwnerHoldTest, TheLeaseStandsStillWhileTheOwnerHoldsTheDevice) {
  Fleet fleet;
  PlaceFirst(fleet);
  const double lease = LeaseSecondsOf(First(fleet));
  const auto over = [&](double seconds) { return IsOver(fleet, Now(seconds)); };
  EXPECT_TRUE(over(lease + 1));
  fleet.observations.devices[DeviceId("device-1")].heartbeat.set_owner_hold_seconds(600);
  EXPECT_FALSE(over(lease + 600));
  EXPECT_TRUE(over(lease + 601));
}

TEST(ListeningTest, NothingWithoutABreakIsOne) {
  StandstillDetector detector(Now().monotonic, absl::Seconds(5));
  for (const double seconds : {1.0, 5.9, 3.0, 10.8}) {
    detector.Note(Now(seconds).monotonic);
    EXPECT_EQ(detector.since(), Now().monotonic) << seconds;
  }
  detector.Note(Now(15.8).monotonic);
  EXPECT_EQ(detector.since(), Now(15.8).monotonic);
  detector.Note(Now(12).monotonic);  // Another thread's clock, read before the break.
  EXPECT_EQ(detector.since(), Now(15.8).monotonic);
}

TEST(ListeningTest, ASilenceWhileTheCoordinatorStoodStillIsNotTheDevices) {
  Fleet fleet;
  PlaceFirst(fleet);
  const double lease = LeaseSecondsOf(First(fleet));
  const auto over = [&](double seconds) { return IsOver(fleet, Now(seconds)); };
  EXPECT_TRUE(over(lease + 1));
  fleet.observations.listening_since = Now(lease + 1).monotonic;
  EXPECT_FALSE(over(lease + 1));
  EXPECT_FALSE(over(2 * lease));
  EXPECT_TRUE(over(2 * lease + 2));
}

// The device is to hand attempt j1.1 over, from second 10 on.
void ReleaseFirst(Fleet& fleet) {
  PlaceFirst(fleet);
  v1::Event released;
  released.set_sequence(fleet.state.last_sequence.value() + 1);
  released.mutable_attempt_released()->set_attempt_id("j1.1");
  Apply(fleet.state, released, Now(10).monotonic);
}

TEST(ListeningTest, ADeviceHandsNothingOverWhileTheCoordinatorStandsStill) {
  Fleet fleet;
  ReleaseFirst(fleet);
  const auto since = [&] {
    return SinceHandOverAdvanced(fleet.state, fleet.observations, First(fleet), Now(100).monotonic);
  };
  EXPECT_EQ(since(), absl::Seconds(90));
  fleet.observations.listening_since = Now(80).monotonic;
  EXPECT_EQ(since(), absl::Seconds(20));
}

class HandOverTest : public testing::Test {
 protected:
  HandOverTest() {
    ReleaseFirst(fleet_);
    v1::Event paused;
    paused.set_sequence(fleet_.state.last_sequence.value() + 1);
    paused.mutable_attempt_state_changed()->set_attempt_id("j1.1");
    paused.mutable_attempt_state_changed()->set_state(v1::ATTEMPT_STATE_PAUSED);
    Apply(fleet_.state, paused, Now(10).monotonic);
  }

  // The connected device reports this many bytes of 1.5 GB.
  void Tell(double seconds, int64_t handed_bytes) {
    v1::Heartbeat heartbeat;
    heartbeat.mutable_hand_over()->set_attempt_id("j1.1");
    heartbeat.mutable_hand_over()->set_handed_bytes(handed_bytes);
    heartbeat.mutable_hand_over()->set_size_bytes(1'500'000'000);
    Hear(seconds);
    NoteHeartbeat(heartbeat, Now(seconds).monotonic, Device());
  }
  void Hear(double seconds) {
    Device().connected = true;
    Device().last_seen = Now(seconds);
  }
  DeviceObservation& Device() {
    return fleet_.observations.devices[DeviceId(First(fleet_).device_id())];
  }
  bool EndsAt(double seconds) {
    return !Decide(fleet_.state, Tick{}, fleet_.observations, Now(seconds)).events.empty();
  }

  static constexpr double kHour = 3600;
  Fleet fleet_;
};

TEST_F(HandOverTest, GoesOnForHoursWhileItAdvances) {
  for (int hour = 0; hour < 9; ++hour) {
    Tell(kHour * hour + 60, 1'000'000 * (hour + 1));
    EXPECT_FALSE(EndsAt(kHour * (hour + 1)));
  }
  const v1::Job job = DescribeJob(fleet_.state, fleet_.observations, JobId("j1"), Now(8 * kHour));
  EXPECT_THAT(job.reason(), HasSubstr("8.6 MiB of 1.4 GiB of its checkpoint are here"));
}

TEST_F(HandOverTest, EndsAnHourAfterItStandsStill) {
  Tell(60, 1'000'000);
  for (int minute = 2; minute < 70; ++minute) {
    Tell(60.0 * minute, 1'000'000);  // again and again the same
  }
  EXPECT_FALSE(EndsAt(kHour + 55));
  Hear(kHour + 65);
  EXPECT_TRUE(EndsAt(kHour + 65));
}

TEST_F(HandOverTest, EndsAfterAnHourIfNothingComes) {
  Hear(kHour + 5);
  EXPECT_FALSE(EndsAt(kHour + 5));
  EXPECT_TRUE(EndsAt(kHour + 15));
  Device().connected = false;
  EXPECT_TRUE(EndsAt(kHour + 15));
}

TEST_F(HandOverTest, ADeviceThatHasBegunMayBeSilentForADay) {
  Tell(60, 1'000'000);
  Device().connected = false;
  EXPECT_FALSE(EndsAt(24 * kHour));
  EXPECT_TRUE(EndsAt(27 * kHour));
}

// The device of attempt j1.1 is connected since second 0 and reports `problem` in each heartbeat.
class WithdrawalTest : public testing::Test {
 protected:
  WithdrawalTest() {
    PlaceFirst(fleet_);
    Device().connected_since = Now(0).monotonic;
  }
  DeviceObservation& Device() {
    return fleet_.observations.devices[DeviceId(First(fleet_).device_id())];
  }
  void Accept() {
    v1::Event accepted;
    accepted.set_sequence(fleet_.state.last_sequence.value() + 1);
    accepted.mutable_attempt_state_changed()->set_attempt_id("j1.1");
    accepted.mutable_attempt_state_changed()->set_state(v1::ATTEMPT_STATE_RUNNING);
    Apply(fleet_.state, accepted, Now(1).monotonic);
  }
  // The job's reason after a tick at `seconds`.
  std::string ReasonAt(double seconds, const std::string& problem) {
    v1::Heartbeat heartbeat;
    heartbeat.set_storage_problem(problem);
    Device().connected = true;
    Device().last_seen = Now(seconds);
    Device().heartbeat = heartbeat;
    NoteHeartbeat(heartbeat, Now(seconds).monotonic, Device());
    State after = fleet_.state;
    Do(after, fleet_.observations, Tick{}, Now(seconds));
    return IsTerminal(FindAttempt(after, AttemptId("j1.1"))->state())
               ? FindJob(after, JobId("j1"))->job().reason()
               : "";
  }

  Fleet fleet_;
};

TEST_F(WithdrawalTest, AnAssignmentIsWithdrawnAfterTwoMinutesWithoutAcceptance) {
  EXPECT_EQ(ReasonAt(119, ""), "");
  EXPECT_THAT(ReasonAt(121, ""), HasSubstr("did not accept it"));
  Device().connected_since = Now(60).monotonic;  // it reconnected a minute ago
  EXPECT_EQ(ReasonAt(121, ""), "");
  Accept();
  EXPECT_EQ(ReasonAt(1000, ""), "");
}

TEST_F(WithdrawalTest, WorkLeavesADeviceWhoseDiskIsSickForTwoMinutes) {
  Accept();
  EXPECT_EQ(ReasonAt(10, "disk read-only: x"), "");
  EXPECT_EQ(ReasonAt(129, "disk read-only: x"), "");
  EXPECT_THAT(ReasonAt(131, "disk read-only: x"), HasSubstr("disk read-only: x"));
  EXPECT_EQ(ReasonAt(132, ""), "");
  EXPECT_EQ(ReasonAt(133, "disk read-only: x"), "");  // its time starts over
}

TEST_F(WithdrawalTest, ASilentDeviceKeepsItsWorkForItsLease) {
  Accept();
  EXPECT_EQ(ReasonAt(10, "disk error: x"), "");
  Device().connected = false;
  State after = fleet_.state;
  Do(after, fleet_.observations, Tick{}, Now(200));
  EXPECT_FALSE(IsTerminal(FindAttempt(after, AttemptId("j1.1"))->state()));
}

TEST(ClockStepTest, AJobGrowsOldByTheMonotonicClock) {
  Fleet fleet;
  Do(fleet.state, fleet.observations, SubmitJob{Finetune(), "key"});
  const Instant now = Stepped(Now(7), absl::Hours(-240));
  const scheduler::Snapshot snapshot = MakeSnapshot(fleet.state, fleet.observations, {}, now);
  ASSERT_THAT(snapshot.queue, SizeIs(1));
  EXPECT_EQ(now.wall - snapshot.queue[0].submitted, absl::Seconds(7));
}

}  // namespace
}  // namespace wattle::core

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the soft state: observation board, log lines, watchers, and the queue between threads.
#include "coordinator/runtime/latest_heartbeats.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/runtime/attempt_logs.h"
#include "coordinator/runtime/bounded_queue.h"
#include "coordinator/runtime/job_watchers.h"
#include "coordinator/runtime/two_priority_queue.h"
#include "coordinator/runtime/unknown_fields.h"
#include "wattle/v1/service.pb.h"

namespace wattle::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const core::Instant kStart{absl::FromUnixSeconds(1'800'000'000), Monotonic(absl::Seconds(100))};

core::Instant Later(double seconds) {
  return {kStart.wall + absl::Seconds(seconds), kStart.monotonic + absl::Seconds(seconds)};
}

TEST(LatestHeartbeatsTest, TheLongerPromiseCountsUntilTheNextHeartbeat) {
  LatestHeartbeats board(kStart, {.unreachable_after = absl::Seconds(10)});
  const DeviceId id("device-1");
  const std::shared_ptr<LatestHeartbeats::Slot> slot = board.SlotFor(id);
  const uint64_t stream = slot->Connected(kStart);
  const auto reachable = [&](double seconds) {
    return core::IsReachable(board.Snapshot(), id, Later(seconds).monotonic);
  };
  v1::Heartbeat heartbeat;
  EXPECT_FALSE(reachable(11));
  slot->Promised(stream, absl::Seconds(50));
  EXPECT_TRUE(reachable(149));
  EXPECT_FALSE(reachable(151));
  slot->Take(heartbeat, Later(0));
  slot->Promised(stream, absl::Seconds(1));
  EXPECT_TRUE(reachable(149)) << "the device may not know yet that it shall hurry";
  slot->Take(heartbeat, Later(150));
  EXPECT_FALSE(reachable(161));
  slot->Promised(stream - 1, absl::Hours(1));
  EXPECT_FALSE(reachable(161)) << "an older stream's";
}

TEST(LatestHeartbeatsTest, KeepsTheLatestHeartbeatAndWhenItCame) {
  LatestHeartbeats board(kStart, {});
  const auto slot = board.SlotFor(DeviceId("a"));
  slot->Connected(kStart);
  for (const double watts : {3.0, 4.0}) {
    v1::Heartbeat heartbeat;
    heartbeat.set_power_watts(watts);
    heartbeat.add_progress()->set_attempt_id("j1.1");
    slot->Take(heartbeat, Later(watts));
  }
  const core::Observations seen = board.Snapshot();
  const core::DeviceObservation& device = seen.devices.at(DeviceId("a"));
  EXPECT_TRUE(device.connected);
  EXPECT_EQ(device.heartbeat.power_watts(), 4.0);
  ASSERT_TRUE(device.last_seen.has_value());
  EXPECT_EQ(device.last_seen->wall, Later(4).wall);
  EXPECT_EQ(device.last_seen->monotonic, Later(4).monotonic);
  EXPECT_TRUE(seen.progress.contains(AttemptId("j1.1")));
  EXPECT_EQ(seen.started.monotonic, kStart.monotonic);
  const core::Observations one = board.SnapshotOf({DeviceId("a"), DeviceId("never seen")});
  EXPECT_EQ(one.devices.size(), 1U);
  EXPECT_TRUE(one.progress.contains(AttemptId("j1.1")));
  EXPECT_TRUE(board.SnapshotOf({DeviceId("b")}).devices.empty());
}

TEST(LatestHeartbeatsTest, ChartsTheAttemptThatADeviceRuns) {
  LatestHeartbeats board(kStart, {});
  const auto slot = board.SlotFor(DeviceId("d"));
  const auto beat = [&](const char* attempt, int64_t step, double seconds, double heldout_loss) {
    v1::Heartbeat heartbeat;
    v1::AttemptProgress& progress = *heartbeat.add_progress();
    progress.set_attempt_id(attempt);
    progress.set_step(step);
    progress.set_loss(10.0 - static_cast<double>(step));
    progress.set_heldout_loss(heldout_loss);
    progress.set_elapsed_seconds(seconds);
    progress.set_power_watts(7.5);
    slot->Take(heartbeat, Later(seconds));
  };
  beat("j1.1", 0, 0, 0);
  EXPECT_TRUE(slot->CurveOf(AttemptId("j1.1")).empty()) << "no step yet";
  beat("j1.1", 1, 2, 0);
  beat("j1.1", 1, 3, 0);
  beat("j1.1", 3, 6, 6.5);
  const RunCurve::Points points = slot->CurveOf(AttemptId("j1.1"));
  ASSERT_EQ(points.size(), 2) << "a heartbeat without a new step adds nothing";
  EXPECT_EQ(points[1].step(), 3);
  EXPECT_EQ(points[1].seconds(), 6);
  EXPECT_EQ(points[1].loss(), 7);
  EXPECT_EQ(points[1].heldout_loss(), 6.5);
  EXPECT_EQ(points[1].power_watts(), 7.5);
  beat("j2.1", 1, 1, 0);
  EXPECT_TRUE(slot->CurveOf(AttemptId("j1.1")).empty()) << "its receipt has the whole curve";
  EXPECT_EQ(slot->CurveOf(AttemptId("j2.1")).size(), 1);
}

TEST(LatestHeartbeatsTest, RefreshBringsAReaderUpToDate) {
  LatestHeartbeats board(kStart, {});
  LatestHeartbeats::Reader reader = board.MakeReader();
  const uint64_t stream = board.SlotFor(DeviceId("a"))->Connected(kStart);
  board.Refresh(reader);
  EXPECT_TRUE(reader.observations.devices.at(DeviceId("a")).connected);
  EXPECT_TRUE(board.SlotFor(DeviceId("a"))->Disconnected(stream));
  board.SlotFor(DeviceId("b"))->Connected(kStart);
  board.Refresh(reader);
  EXPECT_FALSE(reader.observations.devices.at(DeviceId("a")).connected);
  EXPECT_TRUE(reader.observations.devices.at(DeviceId("b")).connected);
}

TEST(LatestHeartbeatsTest, TellsSinceWhenTheProcessListens) {
  LatestHeartbeats board(kStart, {.break_min = absl::Seconds(5)});
  LatestHeartbeats::Reader reader = board.MakeReader();
  const auto since = [&](double now) {
    board.Listen(Later(now).monotonic);
    board.Refresh(reader);
    EXPECT_EQ(board.Snapshot().listening_since, reader.observations.listening_since);
    return reader.observations.listening_since;
  };
  EXPECT_EQ(since(1), kStart.monotonic);
  EXPECT_EQ(since(20), Later(20).monotonic);
  EXPECT_EQ(since(21), Later(20).monotonic);
}

TEST(LatestHeartbeatsTest, AStreamsEndDoesNotUndoItsSuccessorsStart) {
  LatestHeartbeats board(kStart, {});
  const auto slot = board.SlotFor(DeviceId("a"));
  const uint64_t older = slot->Connected(kStart);
  const uint64_t newer = slot->Connected(Later(1));
  EXPECT_FALSE(slot->Disconnected(older));
  EXPECT_TRUE(board.Snapshot().devices.at(DeviceId("a")).connected);
  EXPECT_TRUE(slot->Disconnected(newer));
  EXPECT_FALSE(board.Snapshot().devices.at(DeviceId("a")).connected);
}

TEST(LatestHeartbeatsTest, AResultToComeIsAwaitedUntilItsEndIsReportedOnTheSameStream) {
  LatestHeartbeats board(kStart, {});
  const auto slot = board.SlotFor(DeviceId("a"));
  const AttemptId first("j1.1");
  const AttemptId second("j2.1");
  const auto awaited = [&board] {
    return board.Snapshot().devices.at(DeviceId("a")).results_to_come;
  };
  const uint64_t older = slot->Connected(kStart, {.results_to_come = {first}});
  const uint64_t newer = slot->Connected(kStart);
  EXPECT_THAT(awaited(), IsEmpty());
  slot->Greeted(older, {.results_to_come = {first}});
  EXPECT_THAT(awaited(), IsEmpty());
  slot->Greeted(newer, {.results_to_come = {first, second}});
  slot->EndCame(older, first);
  EXPECT_THAT(awaited(), ElementsAre(first, second));
  slot->EndCame(newer, first);
  EXPECT_THAT(awaited(), ElementsAre(second));
}

TEST(LatestHeartbeatsTest, ManyStreamsAndAReaderAtOnce) {
  LatestHeartbeats board(kStart, {});
  std::vector<std::thread> streams;
  for (int stream = 0; stream < 3; ++stream) {
    streams.emplace_back([&board, stream] {
      const auto slot = board.SlotFor(DeviceId(absl::StrCat(stream)));
      v1::Heartbeat heartbeat;
      for (int i = 1; i <= 1000; ++i) {
        heartbeat.set_energy_joules_total(i);
        slot->Take(heartbeat, kStart);
      }
    });
  }
  LatestHeartbeats::Reader reader = board.MakeReader();
  for (int i = 0; i < 100; ++i) {
    board.Refresh(reader);
  }
  for (std::thread& stream : streams) {
    stream.join();
  }
  board.Refresh(reader);
  for (int stream = 0; stream < 3; ++stream) {
    EXPECT_EQ(reader.observations.devices.at(DeviceId(absl::StrCat(stream)))
                  .heartbeat.energy_joules_total(),
              1000);
  }
}

v1::AttemptLog Line(const std::string& attempt, const std::string& text) {
  v1::AttemptLog log;
  log.set_attempt_id(attempt);
  log.set_text(text);
  return log;
}

TEST(AttemptLogsTest, ReadsTheAttemptsOfAJobInOrderAndGoesOn) {
  AttemptLogs logs;
  logs.Add(Line("j1.1", "a"));
  logs.Add(Line("j12.1", "other job"));
  logs.Add(Line("j1.2", "b"));
  const AttemptLogs::Lines first = logs.Read("j1", 1, 100);
  ASSERT_EQ(first.lines.size(), 2U);
  EXPECT_EQ(first.lines[0].text(), "a");
  EXPECT_EQ(first.lines[1].text(), "b");
  EXPECT_TRUE(logs.Read("j1", first.next, 100).lines.empty());
  logs.Add(Line("j1.1", "late"));
  EXPECT_EQ(logs.Read("j1", first.next, 100).lines.at(0).text(), "late");
  EXPECT_EQ(logs.Read("j1", 1, 1).lines.size(), 1U);
}

TEST(AttemptLogsTest, IsBounded) {
  AttemptLogs logs;
  for (size_t i = 0; i <= AttemptLogs::kLinesPerAttemptMax; ++i) {
    logs.Add(Line("j1.1", absl::StrCat(i)));
  }
  const AttemptLogs::Lines lines = logs.Read("j1", 1, 1'000'000);
  EXPECT_EQ(lines.lines.size(), AttemptLogs::kLinesPerAttemptMax);
  EXPECT_EQ(lines.lines.front().text(), "1") << "the oldest line went first";
  logs.Add(Line("j2.1", std::string(AttemptLogs::kLineBytesMax + 1, 'x')));
  EXPECT_EQ(logs.Read("j2", 1, 1).lines[0].text().size(), AttemptLogs::kLineBytesMax);
  for (size_t i = 0; i < AttemptLogs::kAttemptsMax; ++i) {
    logs.Add(Line(absl::StrCat("k", i, ".1"), "x"));
  }
  EXPECT_TRUE(logs.Read("j1", 1, 1).lines.empty()) << "the longest silent attempt went";
}

class CountingWatcher final : public JobWatcher {
 public:
  void LookAgain() override { ++looks; }
  void LookAtProgress() override { ++progress_looks; }
  int looks = 0;
  int progress_looks = 0;
};

TEST(JobWatchersTest, TellsOnlyTheJobsOwnLivingWatchers) {
  JobWatchers watchers;
  auto one = std::make_shared<CountingWatcher>();
  auto other = std::make_shared<CountingWatcher>();
  watchers.Add(JobId("j1"), one);
  watchers.Add(JobId("j2"), other);
  watchers.Notify(JobId("j1"));
  watchers.Notify(JobId("j1"));
  EXPECT_EQ(one->looks, 0) << "whoever notifies does not do the watchers' work";
  watchers.TellNotified();
  EXPECT_EQ(one->looks, 1);
  EXPECT_EQ(other->looks, 0);
  other.reset();
  watchers.TellProgress();
  EXPECT_EQ(one->looks, 1);
  EXPECT_EQ(one->progress_looks, 1);
  EXPECT_EQ(watchers.size(), 1U);
}

TEST(WakeSignalTest, WakesOnceAndStopsForGood) {
  WakeSignal signal;
  EXPECT_EQ(signal.WaitFor(absl::ZeroDuration()), WakeSignal::Reason::kTimeout);
  signal.Wake();
  signal.Wake();
  EXPECT_EQ(signal.WaitFor(absl::InfiniteDuration()), WakeSignal::Reason::kWoken);
  EXPECT_EQ(signal.WaitFor(absl::ZeroDuration()), WakeSignal::Reason::kTimeout);
  signal.Stop();
  EXPECT_EQ(signal.WaitFor(absl::Hours(1)), WakeSignal::Reason::kStopped);
  EXPECT_EQ(signal.WaitFor(absl::Hours(1)), WakeSignal::Reason::kStopped);
}

TEST(BoundedQueueTest, RefusesWhenFullAndTakesAllAtOnce) {
  BoundedQueue<int> queue(2);
  int one = 1;
  int two = 2;
  int three = 3;
  EXPECT_TRUE(queue.TryPush(one));
  EXPECT_TRUE(queue.TryPush(two));
  EXPECT_FALSE(queue.TryPush(three));
  std::vector<int> taken;
  EXPECT_TRUE(queue.PopAll(taken));
  EXPECT_THAT(taken, testing::ElementsAre(1, 2));
  EXPECT_TRUE(queue.TryPush(three));
  queue.Close();
  EXPECT_FALSE(queue.TryPush(one));
  EXPECT_TRUE(queue.PopAll(taken)) << "what was in it is still taken";
  EXPECT_FALSE(queue.PopAll(taken));
}

TEST(BoundedQueueTest, PushWaitsForRoom) {
  BoundedQueue<int> queue(1);
  EXPECT_TRUE(queue.Push(1));
  std::thread pusher([&queue] { EXPECT_TRUE(queue.Push(2)); });
  std::vector<int> all;
  std::vector<int> taken;
  while (all.size() < 2 && queue.PopAll(taken)) {
    all.insert(all.end(), taken.begin(), taken.end());
  }
  pusher.join();
  EXPECT_THAT(all, testing::ElementsAre(1, 2));
}

void PushAll(TwoPriorityQueue<int>& queue, QueueLine line, std::vector<int> items) {
  for (int& item : items) {
    EXPECT_TRUE(queue.TryPush(line, item));
  }
}

TEST(TwoPriorityQueueTest, OneLineGoesAheadAndTheOtherGetsHalfOfEachTaking) {
  TwoPriorityQueue<int> queue(6);
  PushAll(queue, QueueLine::kBehind, {1, 2, 3, 4, 5, 6});
  PushAll(queue, QueueLine::kAhead, {-1, -2, -3, -4});
  std::vector<int> taken;
  EXPECT_TRUE(queue.PopSome(taken, 4));
  EXPECT_THAT(taken, testing::ElementsAre(-1, -2, 1, 2));
  EXPECT_TRUE(queue.PopSome(taken, 6));
  EXPECT_THAT(taken, testing::ElementsAre(-3, -4, 3, 4, 5, 6));
  PushAll(queue, QueueLine::kAhead, {-5, -6, -7});
  PushAll(queue, QueueLine::kBehind, {7});
  EXPECT_TRUE(queue.PopSome(taken, 4));
  EXPECT_THAT(taken, testing::ElementsAre(-5, -6, -7, 7)) << "nobody leaves a place free";
}

TEST(TwoPriorityQueueTest, AFullLineRefusesNobodyOfTheOther) {
  TwoPriorityQueue<int> queue(1);
  PushAll(queue, QueueLine::kBehind, {1});
  int item = 2;
  EXPECT_FALSE(queue.TryPush(QueueLine::kBehind, item));
  EXPECT_TRUE(queue.TryPush(QueueLine::kAhead, item));
  EXPECT_EQ(queue.size(), 2U);
  queue.Close();
  EXPECT_FALSE(queue.TryPush(QueueLine::kAhead, item));
  std::vector<int> taken;
  EXPECT_TRUE(queue.PopSome(taken, 4)) << "what was in it is still taken";
  EXPECT_THAT(taken, testing::ElementsAre(2, 1));
  EXPECT_FALSE(queue.PopSome(taken, 4));
}

TEST(UnknownFieldsTest, NamesWhereTheUnknownFieldIs) {
  v1::SubmitJobRequest request;
  request.mutable_spec()->set_name("fine");
  EXPECT_THAT(RefuseUnknownFields(request), IsOk());
  v1::GenerateSpec& generate = *request.mutable_spec()->mutable_generate();
  generate.GetReflection()->MutableUnknownFields(&generate)->AddVarint(999, 1);
  EXPECT_THAT(RefuseUnknownFields(request),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("SubmitJobRequest.spec.generate: field 999: not supported")));
}

}  // namespace
}  // namespace wattle::runtime

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/callers/call_limits.h"

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle::callers {
namespace {

using testing::HasSubstr;

constexpr CallLimits::Most kFew = {.calls_per_second = 2, .calls_at_once = 3, .streams = 2};

Monotonic At(double seconds) {
  return Monotonic(absl::Seconds(1000 + seconds));
}

TEST(CallLimitsTest, ACallerHasSoManyCallsASecond) {
  CallLimits limits(kFew);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(limits.TakeCall("ann", At(0)), IsOk());
  }
  EXPECT_THAT(
      limits.TakeCall("ann", At(0)),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("ann: more than 2 calls a second")));
  EXPECT_THAT(limits.TakeCall("bob", At(0)), IsOk()) << "ann's flood is not bob's";
  EXPECT_FALSE(limits.TakeCall("ann", At(0.4)).ok());
  EXPECT_THAT(limits.TakeCall("ann", At(0.5)), IsOk());
  EXPECT_FALSE(limits.TakeCall("ann", At(0.5)).ok());
  // A long quiet time saves up no more than the burst.
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(limits.TakeCall("ann", At(1000)), IsOk());
  }
  EXPECT_FALSE(limits.TakeCall("ann", At(1000)).ok());
  EXPECT_EQ(limits.refusals().calls, 4U);
}

TEST(CallLimitsTest, ALargeMessageCountsAsSeveralCalls) {
  CallLimits limits(kFew);
  EXPECT_THAT(limits.TakeCall("ann", At(0)), IsOk());
  limits.NoteMessage("ann", 0, At(0));
  limits.NoteMessage("ann", kMessageBytesOfACall, At(0));
  EXPECT_THAT(limits.TakeCall("ann", At(0)), IsOk());
  limits.NoteMessage("ann", 4 * kMessageBytesOfACall + 1, At(0));
  EXPECT_FALSE(limits.TakeCall("ann", At(1.9)).ok()) << "four further calls, and one was left";
  EXPECT_THAT(limits.TakeCall("ann", At(2.1)), IsOk());
  EXPECT_THAT(limits.TakeCall("bob", At(0)), IsOk());
}

TEST(CallLimitsTest, ManyCallersDoNotFreeAFlood) {
  CallLimits limits(kFew);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(limits.TakeCall("ann", At(0)), IsOk());
  }
  for (int i = 0; i < 20'001; ++i) {
    ASSERT_THAT(limits.TakeCall(absl::StrCat("stranger ", i), At(0)), IsOk());
  }
  EXPECT_FALSE(limits.TakeCall("ann", At(0)).ok());
}

TEST(CallLimitsTest, ACallersBytesWaitForTheirTurnAndNobodyElses) {
  CallLimits limits({.bytes_per_second = 100, .bytes_at_once = 1000});
  EXPECT_EQ(limits.TakeBytes("ann", 1000, At(0)), absl::ZeroDuration());
  EXPECT_EQ(limits.TakeBytes("ann", 50, At(0)), absl::Milliseconds(500));
  EXPECT_EQ(limits.TakeBytes("ann", 100, At(0)), absl::Milliseconds(1500)) << "a second transfer";
  EXPECT_EQ(limits.TakeBytes("bob", 1000, At(0)), absl::ZeroDuration());
  EXPECT_EQ(limits.TakeBytes("ann", 50, At(2)), absl::ZeroDuration()) << "paid by two seconds";
  EXPECT_EQ(limits.TakeBytes("ann", 1, At(2)), absl::Milliseconds(10));
  EXPECT_EQ(limits.refusals().waits_for_bytes, 3U);
  EXPECT_EQ(limits.refusals().calls, 0U);
}

// In an hour a caller moves the bytes of the rate plus the burst.
TEST(CallLimitsTest, BytesOfAnHourAreThoseOfTheRate) {
  CallLimits limits({.bytes_per_second = 100, .bytes_at_once = 1000});
  double seconds = 0;
  int64_t bytes = 0;
  while (seconds < 3600 && bytes < 1'000'000) {
    bytes += 64;
    seconds += absl::ToDoubleSeconds(limits.TakeBytes("ann", 64, At(seconds)));
  }
  EXPECT_NEAR(static_cast<double>(bytes), 3600 * 100 + 1000, 64);
}

TEST(CallLimitsTest, ACallerHasSoManyStreamsAtOnce) {
  std::optional<CallLimits> limits(kFew);
  std::vector<CallLimits::Stream> open;
  open.push_back(*limits->OpenStream("ann"));
  open.push_back(*limits->OpenStream("ann"));
  EXPECT_THAT(limits->OpenStream("ann").status(),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("ann: 2 streams are open, which is the most")));
  EXPECT_THAT(limits->OpenStream("bob"), IsOk());
  EXPECT_EQ(limits->refusals().streams, 1U);
  open.pop_back();
  EXPECT_THAT(limits->OpenStream("ann"), IsOk());
  limits.reset();  // A stream may outlive the limits.
}

TEST(CallLimitsTest, TheStreamsOfARevokedCallerEndAndNobodyElses) {
  CallLimits limits;
  const absl::Status why = absl::PermissionDeniedError("ann was revoked");
  int cancelled = 0;
  CallLimits::Stream waits = *limits.OpenStream("ann", [&cancelled] { ++cancelled; });
  CallLimits::Stream told = *limits.OpenStream("ann");
  absl::Status heard;
  told.OnEnd([&heard](const absl::Status& end) { heard = end; });
  const CallLimits::Stream bobs = *limits.OpenStream("bob", [&cancelled] { ++cancelled; });
  EXPECT_THAT(waits.Goes(), IsOk());
  limits.EndStreams("ann", why, absl::Milliseconds(20));
  EXPECT_EQ(waits.Goes(), why);
  EXPECT_EQ(heard, why);
  EXPECT_EQ(cancelled, 1) << "the one that waits for its client, and not bob's";
  EXPECT_THAT(bobs.Goes(), IsOk());
  absl::Status late;
  waits.OnEnd([&late](const absl::Status& end) { late = end; });
  EXPECT_EQ(late, why);
  EXPECT_THAT(CallLimits::Stream().Goes(), IsOk());
}

// A handler that checks in time ends by itself, with its reason, and is not cancelled.
TEST(CallLimitsTest, AStreamThatLeavesInTimeIsNotCancelled) {
  CallLimits limits;
  std::atomic<int> cancelled = 0;
  absl::Notification open;
  std::thread handler([&] {
    const CallLimits::Stream stream = *limits.OpenStream("ann", [&cancelled] { ++cancelled; });
    open.Notify();
    while (stream.Goes().ok()) {
      absl::SleepFor(absl::Milliseconds(1));
    }
  });
  open.WaitForNotification();
  limits.EndStreams("ann", absl::PermissionDeniedError("ann was revoked"), absl::Seconds(60));
  handler.join();
  EXPECT_EQ(cancelled, 0);
}

}  // namespace
}  // namespace wattle::callers

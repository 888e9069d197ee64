// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <limits>
#include <sstream>

#include "cli/table.h"
#include "cli/testing/sample_messages.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::cli {
namespace {

class SteppedClock : public Clock {
 public:
  [[nodiscard]] absl::Time Now() const override { return absl::UnixEpoch(); }
  [[nodiscard]] Monotonic Boottime() const override { return now_; }
  void Advance(absl::Duration by) { now_ = now_ + by; }

 private:
  Monotonic now_;
};

TEST(RenderBarTest, IsFullOnlyWhenDone) {
  EXPECT_EQ(RenderBar(0.0, 12), "[..........]");
  EXPECT_EQ(RenderBar(0.999, 12), "[#########.]");
  EXPECT_EQ(RenderBar(1.0, 12), "[##########]");
  EXPECT_EQ(RenderBar(7.0, 12), "[##########]");
  EXPECT_EQ(RenderBar(std::numeric_limits<double>::quiet_NaN(), 12), "[..........]");
}

TEST(RenderJobProgressTest, ShowsStepLossSpeedPowerAndTimeLeft) {
  EXPECT_EQ(RenderJobProgress(SampleRunning(), {}),
            "j2.1 on xavier-1 train [#########...............] 120/300  loss 2.313  "
            "14.31 W emulated  left 24.6 s wall, 41 min 00 s device  1,244 tok/s  "
            "1.50 Wh emulated");
}

TEST(RenderJobProgressTest, FitsTheTerminal) {
  for (int width = 20; width <= 160; ++width) {
    EXPECT_LT(DisplayWidth(RenderJobProgress(SampleRunning(), {.width_columns = width})),
              static_cast<size_t>(width));
  }
}

TEST(LiveLineTest, RewritesOneLineOnATerminal) {
  std::ostringstream out;
  const SteppedClock clock;
  {
    LiveLine line(out, {.is_terminal = true}, clock);
    line.Update("one");
    line.Update("two");
    line.Print("stays");
  }
  EXPECT_EQ(out.str(), "\r\x1b[Kone\r\x1b[Ktwo\r\x1b[Kstays\n");
}

TEST(LiveLineTest, WritesALineEveryFiveSecondsElsewhere) {
  std::ostringstream out;
  SteppedClock clock;
  LiveLine line(out, {}, clock);
  line.Update("at 0");
  clock.Advance(absl::Seconds(4.9));
  line.Update("at 4.9");
  clock.Advance(absl::Seconds(0.1));
  line.Update("at 5");
  line.Print("stays");
  EXPECT_EQ(out.str(), "at 0\nat 5\nstays\n");
}

TEST(LiveLineTest, AShortTransferWritesNoLineElsewhere) {
  std::ostringstream out;
  SteppedClock clock;
  LiveLine line(out, {}, clock, LiveLine::FirstLine::kAfterInterval);
  line.Update("at 0");
  clock.Advance(absl::Seconds(6));
  line.Update("at 6");
  EXPECT_EQ(out.str(), "at 6\n");
}

}  // namespace
}  // namespace wattle::cli

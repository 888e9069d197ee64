// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/sampler.h"

#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::agent {
namespace {

using telemetry::Reading;

struct Gate {
  absl::Notification reached;
  absl::Notification open;
};

// A source that answers at once, or when its gate opens.
class FakeSource final : public telemetry::Source {
 public:
  explicit FakeSource(Gate* gate) : gate_(gate) {
    info_.name = "fake";
    info_.cadence = absl::Milliseconds(1);
    info_.deadline = absl::ZeroDuration();
    info_.channels.resize(1);
  }
  [[nodiscard]] const telemetry::SourceInfo& info() const override { return info_; }
  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    if (gate_ != nullptr) {
      gate_->reached.Notify();
      gate_->open.WaitForNotification();
    }
    return std::vector<Reading>{{0, Watts(5), now}};
  }

 private:
  Gate* gate_;
  telemetry::SourceInfo info_;
};

TEST(SamplerTest, AReadThatHangsDelaysNoOtherSourceAndNotTheEnd) {
  // The thread of the hung read outlives the sampler, so the gate must outlive the test.
  static auto* const gate = new Gate;
  absl::Mutex mutex;
  int answers = 0;
  {
    std::vector<std::unique_ptr<telemetry::Source>> sources;
    sources.push_back(std::make_unique<FakeSource>(gate));
    sources.push_back(std::make_unique<FakeSource>(nullptr));
    Sampler sampler(
        std::move(sources),
        [&](size_t source, const absl::StatusOr<std::vector<Reading>>& readings) {
          absl::MutexLock lock(&mutex);
          EXPECT_EQ(source, 1U);
          EXPECT_TRUE(readings.ok());
          ++answers;
        },
        Clock::Real());
    sampler.SetBusy(true);
    gate->reached.WaitForNotification();
    const auto two = [&] { return answers >= 2; };
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(&two));
    EXPECT_THAT(sampler.Hung(), testing::Contains(0U));
  }
  const int at_end = answers;  // no further call of the sink
  gate->open.Notify();
  EXPECT_EQ(answers, at_end);
}

}  // namespace
}  // namespace wattle::agent

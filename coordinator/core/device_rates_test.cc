// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The measured rates of devices, from their hello into the table that predicts.
#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/state.h"

namespace wattle::core {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class DeviceRatesTest : public testing::Test {
 protected:
  void Do(const Command& command) {
    const Instant now{absl::FromUnixSeconds(1'800'000'000), Monotonic(absl::Hours(1))};
    const Decision decision = Decide(state_, command, observations_, now);
    ASSERT_THAT(decision.status, IsOk());
    for (const v1::Event& event : decision.events) {
      Apply(state_, event, now.monotonic);
      journal_.push_back(event.SerializeAsString());
    }
  }

  void HelloWithMemoryAt(double bytes_per_second) {
    v1::Hello hello;
    hello.set_incarnation(++incarnation_);
    v1::DeviceInfo& info = *hello.mutable_device();
    info.set_device_id("d1");
    info.set_name("pi");
    info.set_device_class("raspberry-pi-5");
    info.set_memory_bytes(int64_t{8} << 30);
    if (bytes_per_second != 0) {
      info.add_rates()->set_memory_bytes_per_second(bytes_per_second);
    }
    Do(WorkerHello{hello});
  }

  // A PC with a card of 24 GiB, whose use was measured.
  void HelloWithCard() {
    v1::Hello hello;
    hello.set_incarnation(++incarnation_);
    v1::DeviceInfo& info = *hello.mutable_device();
    info.set_device_id("d1");
    info.set_name("pc");
    info.set_device_class("generic-x86-64");
    info.set_memory_bytes(int64_t{8} << 30);
    info.set_accelerator("cuda");
    info.set_accelerator_total_bytes(int64_t{24} << 30);
    v1::MeasuredRates& rates = *info.add_rates();
    rates.set_accelerator("cuda");
    rates.set_fp32_flops(20e12);
    rates.set_card_memory_bytes(int64_t{600} << 20);
    Do(WorkerHello{hello});
  }

  [[nodiscard]] const std::vector<v1::MeasuredRates>& Known() const {
    return state_.profiles.rates().OfClass("raspberry-pi-5", /*emulated=*/false);
  }
  [[nodiscard]] const v1::DeviceInfo& Stored() const {
    return state_.devices.find(DeviceId("d1"))->second.info();
  }

  State state_;
  Observations observations_;
  int64_t incarnation_ = 0;
  std::vector<std::string> journal_;  // The events, as they are stored.
};

TEST_F(DeviceRatesTest, AHelloTellsThemAndTheNextOneReplacesThem) {
  HelloWithMemoryAt(12e9);
  ASSERT_THAT(Known(), SizeIs(1));
  EXPECT_NEAR(Known()[0].memory_bytes_per_second(), 12e9, 1);
  HelloWithMemoryAt(14e9);
  ASSERT_THAT(Known(), SizeIs(1));
  EXPECT_NEAR(Known()[0].memory_bytes_per_second(), 14e9, 1);
  HelloWithMemoryAt(0);
  EXPECT_THAT(Known(), IsEmpty());
}

TEST_F(DeviceRatesTest, OnesThatNoSuchBoardHasAreAFindingAndNothingElse) {
  for (const double wrong : {12e12, 17e12, -1.0, std::nan(""), 12e6}) {
    SCOPED_TRACE(wrong);
    HelloWithMemoryAt(wrong);
    EXPECT_THAT(Known(), IsEmpty());
    EXPECT_THAT(Stored().rates(), IsEmpty());
    EXPECT_THAT(Stored().findings(),
                ElementsAre(HasSubstr("measured rates are not used: memory_bytes_per_second")));
    EXPECT_THAT(Stored().findings(0), HasSubstr("run 'wattle-worker probe --rates' again"));
  }
}

TEST_F(DeviceRatesTest, ARemovedDeviceTakesThemWithIt) {
  HelloWithMemoryAt(12e9);
  v1::Event removed;
  removed.set_sequence(state_.last_sequence.value() + 1);
  removed.mutable_device_removed()->set_device_id("d1");
  Apply(state_, removed, Monotonic(absl::Hours(2)));
  EXPECT_THAT(Known(), IsEmpty());
}

TEST_F(DeviceRatesTest, TheMemoryOfACardIsKeptThroughJournalAndSnapshot) {
  HelloWithCard();
  State replayed;
  for (const std::string& bytes : journal_) {
    v1::Event event;
    ASSERT_TRUE(event.ParseFromString(bytes));
    Apply(replayed, event, Monotonic(absl::Hours(2)));
  }
  const auto read = ParseSnapshot(SnapshotBytes(state_));
  ASSERT_THAT(read, IsOk());
  const std::vector<const State*> states = {&state_, &replayed, &*read};
  for (const State* const state : states) {
    const v1::DeviceInfo& info = state->devices.find(DeviceId("d1"))->second.info();
    EXPECT_EQ(info.accelerator_total_bytes(), int64_t{24} << 30);
    EXPECT_FALSE(info.accelerator_shares_memory());
    ASSERT_THAT(info.rates(), SizeIs(1));
    EXPECT_EQ(info.rates(0).card_memory_bytes(), int64_t{600} << 20);
  }
}

TEST_F(DeviceRatesTest, ASnapshotBringsThemBack) {
  HelloWithMemoryAt(12e9);
  const auto read = ParseSnapshot(SnapshotBytes(state_));
  ASSERT_THAT(read, IsOk());
  EXPECT_THAT(read->profiles.rates().OfClass("raspberry-pi-5", false), SizeIs(1));
}

}  // namespace
}  // namespace wattle::core

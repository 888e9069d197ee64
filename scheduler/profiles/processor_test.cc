// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/processor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/board_class.h"
#include "scheduler/profiles/rate_table.h"

namespace wattle::scheduler {
namespace {

using testing::SizeIs;

v1::DeviceInfo Orin() {
  v1::DeviceInfo info;
  info.set_device_id("orin");
  info.set_device_class("jetson-orin-nano");
  info.set_accelerator("cuda");
  info.set_throughput_flops_datasheet(1e12);
  info.set_accelerator_total_bytes(int64_t{8} << 30);
  info.set_accelerator_shares_memory(true);
  return info;
}

TEST(ProcessorTest, TheCoresBesideAnAcceleratorAreAClassOfTheirOwn) {
  const v1::DeviceInfo cores = ProcessorOf(Orin(), /*on_cpu=*/true);
  EXPECT_EQ(cores.device_class(), "jetson-orin-nano/cpu");
  EXPECT_EQ(cores.accelerator(), "");
  EXPECT_EQ(cores.throughput_flops_datasheet(), 0);
  EXPECT_EQ(cores.accelerator_total_bytes(), 0);
  EXPECT_FALSE(cores.accelerator_shares_memory());
  EXPECT_EQ(cores.device_id(), "orin");
  EXPECT_EQ(BoardClassOf(cores.device_class()), "jetson-orin-nano");
  EXPECT_EQ(BoardClassOf("jetson-orin-nano"), "jetson-orin-nano");
}

TEST(ProcessorTest, TheDevicesOwnProcessorIsOfItsClass) {
  EXPECT_EQ(ProcessorOf(Orin(), /*on_cpu=*/false).SerializeAsString(), Orin().SerializeAsString());
  v1::DeviceInfo pi;
  pi.set_device_class("raspberry-pi-5");
  EXPECT_EQ(ProcessorOf(pi, /*on_cpu=*/true).SerializeAsString(), pi.SerializeAsString());
}

TEST(ProcessorTest, RatesOfTheCoresAreApartFromThoseOfTheAccelerator) {
  v1::DeviceInfo orin = Orin();
  for (const char* accelerator : {"cuda", ""}) {
    v1::MeasuredRates& rates = *orin.add_rates();
    rates.set_accelerator(accelerator);
    rates.set_fp32_flops(accelerator[0] == 'c' ? 9e11 : 6e10);
  }
  RateTable table;
  table.Put(orin);
  ASSERT_THAT(table.OfClass("jetson-orin-nano", false), SizeIs(1));
  EXPECT_NEAR(table.OfClass("jetson-orin-nano", false)[0].fp32_flops(), 9e11, 1e6);
  ASSERT_THAT(table.OfClass("jetson-orin-nano/cpu", false), SizeIs(1));
  EXPECT_NEAR(table.OfClass("jetson-orin-nano/cpu", false)[0].fp32_flops(), 6e10, 1e6);
  table.Remove(orin);
  EXPECT_TRUE(table.empty());
}

}  // namespace
}  // namespace wattle::scheduler

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "scheduler/place/device/device_load.h"
#include "scheduler/place/device/power_group.h"
#include "scheduler/place/rearrange_internal.h"
#include "scheduler/place/search_blocks_internal.h"
#include "scheduler/place/snapshot.h"
#include "scheduler/place/testing/fleet_for_test.h"

namespace wattle::scheduler {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Le;
using ::testing::Not;
using ::testing::SizeIs;

class SearchBlocksTest : public testing::Test {
 protected:
  // The boards have names of their numbers. Each but the last `idle` ones has a run and a waiting
  // job.
  void MakePlan(int devices, int idle) {
    for (int device = 0; device < devices; ++device) {
      snapshot_.devices.push_back(OrinNano(absl::StrCat(1000 + device)));
      loads_.emplace_back();
      plan_.usable.push_back(true);
      for (const double start : {0.0, 3600.0}) {
        if (device < devices - idle) {
          order_.push_back(plan_.starts.size());
          plan_.starts.emplace_back(RunStart{.device = static_cast<size_t>(device),
                                             .start_in_seconds = start,
                                             .finish_in_seconds = start + 3600});
        }
      }
    }
  }
  [[nodiscard]] std::vector<SearchBlock> Blocks() const {
    return SearchBlocks(snapshot_, loads_, order_, plan_, FleetParts::kMany);
  }

  Snapshot snapshot_;
  std::vector<DeviceLoad> loads_;
  std::vector<size_t> order_;
  PlacesOfJobs plan_;
};

TEST_F(SearchBlocksTest, ASmallFleetIsOneBlockOfTheFirstJobs) {
  MakePlan(25, 0);
  plan_.starts.front().reset();
  const std::vector<SearchBlock> blocks = Blocks();
  ASSERT_THAT(blocks, SizeIs(1));
  EXPECT_THAT(blocks[0].devices, SizeIs(25));
  EXPECT_THAT(blocks[0].jobs, SizeIs(40));
  EXPECT_EQ(blocks[0].jobs.front(), 0u);
}

TEST_F(SearchBlocksTest, BlocksShareNeitherDevicesNorJobsAndMixBusyAndIdleOnes) {
  MakePlan(100, 40);
  std::set<size_t> devices;
  std::set<size_t> jobs;
  for (const SearchBlock& block : Blocks()) {
    EXPECT_THAT(block.devices.size(), Le(25));
    EXPECT_THAT(block.jobs.size(), Le(40));
    EXPECT_EQ(std::count_if(block.devices.begin(), block.devices.end(),
                            [](size_t device) { return device >= 60; }),
              10);
    for (const size_t device : block.devices) {
      EXPECT_TRUE(devices.insert(device).second) << device;
    }
    for (const size_t job : block.jobs) {
      EXPECT_TRUE(jobs.insert(job).second) << job;
      EXPECT_THAT(block.devices, Contains(plan_.starts[job]->device));
    }
  }
  EXPECT_THAT(devices, SizeIs(100));
  EXPECT_THAT(jobs, SizeIs(120));
}

TEST_F(SearchBlocksTest, OfAVeryLargeFleetTheBusiestAndTheIdleBoardsCount) {
  MakePlan(1000, 300);
  for (size_t job = 0; job < 20; ++job) {
    plan_.starts[2 * job]->start_in_seconds = 1;  // On the first 20 devices two jobs wait.
  }
  std::set<size_t> devices;
  for (const SearchBlock& block : Blocks()) {
    devices.insert(block.devices.begin(), block.devices.end());
  }
  EXPECT_THAT(devices, SizeIs(200));
  EXPECT_THAT(devices, IsSupersetOf({0, 7, 19, 999}));
}

TEST_F(SearchBlocksTest, BoardsThatSharePowerStayTogether) {
  MakePlan(60, 20);
  const auto group = std::make_shared<const PowerGroup>();
  for (const size_t device : {3, 31, 58}) {
    loads_[device].group = group;
  }
  int with_group = 0;
  for (const SearchBlock& block : Blocks()) {
    const std::set<size_t> devices(block.devices.begin(), block.devices.end());
    with_group += devices.contains(3) ? 1 : 0;
    EXPECT_EQ(devices.contains(3), devices.contains(31));
    EXPECT_EQ(devices.contains(3), devices.contains(58));
  }
  EXPECT_EQ(with_group, 1);
}

TEST_F(SearchBlocksTest, ABoardThatNoJobMayUseAndABlockWithoutAWaitingJobAreLeftOut) {
  MakePlan(60, 0);
  plan_.usable[5] = false;
  for (size_t job = 1; job < plan_.starts.size(); job += 2) {
    plan_.starts[job]->start_in_seconds = job < 60 ? 3600 : 0;
  }
  for (const SearchBlock& block : Blocks()) {
    EXPECT_THAT(block.devices, Not(Contains(5)));
  }
  for (std::optional<RunStart>& start : plan_.starts) {
    start->start_in_seconds = 0;
  }
  EXPECT_THAT(Blocks(), IsEmpty());
}

}  // namespace
}  // namespace wattle::scheduler

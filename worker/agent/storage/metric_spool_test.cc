// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/storage/metric_spool.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "worker/agent/storage/memory_disk.h"

namespace wattle::agent {
namespace {

using testing::ElementsAre;

v1::MetricBatch Scrape(int64_t at_unix_milliseconds, double value, const std::string& name = "a") {
  v1::MetricBatch scrape;
  scrape.add_at_unix_milliseconds(at_unix_milliseconds);
  v1::Label& device = *scrape.add_labels();
  device.set_key("device");
  device.set_value("mast");
  v1::MetricSeries& series = *scrape.add_series();
  series.set_name(name);
  series.add_values(value);
  return scrape;
}

// The times of all batches, fetched as for a coordinator that acknowledges each.
std::vector<int64_t> Drain(MetricSpool& spool) {
  std::vector<int64_t> times;
  while (const auto batch = spool.Next(0)) {
    times.insert(times.end(), batch->at_unix_milliseconds().begin(),
                 batch->at_unix_milliseconds().end());
    spool.Acknowledge(batch->number());
  }
  return times;
}

TEST(MetricSpoolTest, ScrapesOfASilenceComeBackInOrderAndOnce) {
  MemoryDisk disk(1);
  MetricSpool spool(&disk, {.scrapes_per_batch = 3});
  std::vector<int64_t> added;
  for (int64_t at = 1; at <= 100; ++at) {
    spool.Add(Scrape(at, 1));
    added.push_back(at);
  }
  EXPECT_EQ(Drain(spool), added);
  EXPECT_EQ(spool.size_bytes(), 0);
  EXPECT_EQ(spool.dropped_samples(), 0);
}

// A board that boots in 1970: memory and files hold scrapes of its boot time.
TEST(MetricSpoolTest, ScrapesOfAnUnknownTimeGetTheirDates) {
  constexpr int64_t kDated = 1'000'000;
  MemoryDisk disk(1);
  std::vector<int64_t> wanted;
  {
    MetricSpool spool(&disk, {.scrapes_per_batch = 2});
    for (int64_t at = 1; at <= 20; ++at) {
      spool.Add(Scrape(at, 1));
      wanted.push_back(5 * kDated + at);
    }
    spool.Save();
  }
  MetricSpool spool(&disk, {.scrapes_per_batch = 2});
  spool.Add(Scrape(21, 1));
  wanted.push_back(5 * kDated + 21);
  spool.DateScrapesBefore(kDated, 5 * kDated);
  spool.Add(Scrape(6 * kDated, 1));
  wanted.push_back(6 * kDated);
  EXPECT_TRUE(spool.Next(0)->restamped());
  spool.DateScrapesBefore(kDated, 5 * kDated);  // dated scrapes keep their dates
  EXPECT_EQ(Drain(spool), wanted);
  EXPECT_EQ(spool.dropped_samples(), 0);
}

TEST(MetricSpoolTest, ScrapesOfAnEarlierBootWithoutADateAreDropped) {
  MemoryDisk disk(1);
  MetricSpool spool(&disk, {.scrapes_per_batch = 2});
  for (int64_t at = 1; at <= 20; ++at) {
    spool.Add(Scrape(at, 1));
  }
  spool.Add(Scrape(2'000'000, 1));
  spool.DateScrapesBefore(1'000'000, std::nullopt);
  EXPECT_EQ(Drain(spool), std::vector<int64_t>{2'000'000});
  EXPECT_EQ(spool.dropped_samples(), 20);
  EXPECT_EQ(spool.size_bytes(), 0);
}

TEST(MetricSpoolTest, AnUnacknowledgedBatchIsSentAgain) {
  MemoryDisk disk(1);
  MetricSpool spool(&disk, {});
  spool.Add(Scrape(1, 1));
  const auto first = spool.Next(0);
  ASSERT_TRUE(first);
  spool.Add(Scrape(2, 1));
  EXPECT_THAT(spool.Next(first->number())->at_unix_milliseconds(), ElementsAre(2));
  EXPECT_THAT(spool.Next(0)->at_unix_milliseconds(), ElementsAre(1));  // a new stream
}

TEST(MetricSpoolTest, ASavedSpoolIsTakenUpByTheNextProcess) {
  MemoryDisk disk(1);
  {
    MetricSpool spool(&disk, {.scrapes_per_batch = 2});
    for (int64_t at = 1; at <= 21; ++at) {
      spool.Add(Scrape(at, 1));
    }
    spool.Save();
  }
  MetricSpool spool(&disk, {.scrapes_per_batch = 2});
  spool.Add(Scrape(22, 1));
  const std::vector<int64_t> times = Drain(spool);
  EXPECT_EQ(times.size(), 22);
  EXPECT_EQ(times.front(), 1);
  EXPECT_EQ(times.back(), 22);
}

TEST(MetricSpoolTest, ASeriesThatComesLaterWasAbsentBefore) {
  MemoryDisk disk(1);
  MetricSpool spool(&disk, {.scrapes_per_batch = 3});
  spool.Add(Scrape(1, 5, "a"));
  spool.Add(Scrape(2, 6, "b"));
  spool.Add(Scrape(3, 7, "a"));
  const auto batch = spool.Next(0);
  ASSERT_TRUE(batch);
  ASSERT_EQ(batch->series_size(), 2);
  EXPECT_THAT(batch->series(0).values(), ElementsAre(5, testing::IsNan(), 7));
  EXPECT_THAT(batch->series(1).values(), ElementsAre(testing::IsNan(), 6, testing::IsNan()));
}

TEST(MetricSpoolTest, BeyondItsBoundALongBacklogIsThinnedAndNotCutOff) {
  MemoryDisk disk(1);
  constexpr int64_t kScrapes = 20'000;
  MetricSpool spool(&disk, {.size_bytes_max = 20'000, .scrapes_per_batch = 10});
  for (int64_t at = 1; at <= kScrapes; ++at) {
    spool.Add(Scrape(at, 1));
    ASSERT_LE(spool.size_bytes(), 20'000);
  }
  const int64_t dropped = spool.dropped_samples();
  const std::vector<int64_t> times = Drain(spool);
  EXPECT_EQ(dropped + static_cast<int64_t>(times.size()), kScrapes);  // each is sent or counted
  int64_t widest = 0;
  for (size_t i = 1; i < times.size(); ++i) {
    ASSERT_GT(times[i], times[i - 1]);
    widest = std::max(widest, times[i] - times[i - 1]);
  }
  EXPECT_LE(times.front(), 10);
  EXPECT_LE(widest, 64);
  EXPECT_EQ(times.back(), kScrapes);
}

TEST(MetricSpoolTest, AFullDiskCostsSamplesAndNothingElse) {
  MemoryDisk disk(1);
  MetricSpool spool(&disk, {.scrapes_per_batch = 1});
  disk.set_full(true);
  for (int64_t at = 1; at <= 10; ++at) {
    spool.Add(Scrape(at, 1));
  }
  EXPECT_EQ(spool.dropped_samples(), 10 - static_cast<int64_t>(MetricSpool::kBatchesInMemory));
  EXPECT_EQ(Drain(spool).size(), MetricSpool::kBatchesInMemory);
}

TEST(MetricSpoolTest, AClockThatIsSetBackBeginsABatchOfItsOwn) {
  MemoryDisk disk(1);
  MetricSpool spool(&disk, {});
  spool.Add(Scrape(1000, 1));
  spool.Add(Scrape(500, 1));
  EXPECT_THAT(Drain(spool), ElementsAre(1000, 500));
}

TEST(MetricSpoolTest, ADamagedFileIsPassedOver) {
  MemoryDisk disk(1);
  MetricSpool spool(&disk, {.scrapes_per_batch = 1});
  for (int64_t at = 1; at <= 8; ++at) {
    spool.Add(Scrape(at, 1));
  }
  const std::string name = "metrics/" + disk.List("metrics").at(1).name;
  ASSERT_TRUE(disk.Replace(name, "damage").ok());
  EXPECT_THAT(Drain(spool), ElementsAre(1, 3, 4, 5, 6, 7, 8));
}

}  // namespace
}  // namespace wattle::agent

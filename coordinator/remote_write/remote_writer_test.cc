// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the writer against an HTTP server that decodes requests as Prometheus does.
// tests/integration/remote_write_test.py uses a real Prometheus.
#include "coordinator/remote_write/remote_writer.h"

#include <snappy.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <httplib.h>

#include "telemetry/export/metrics_page.h"

namespace wattle::remote_write {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kNowMs = 1'900'000'000'000;

class FixedClock final : public Clock {
 public:
  [[nodiscard]] absl::Time Now() const override { return absl::FromUnixMillis(kNowMs); }
  [[nodiscard]] Monotonic Boottime() const override { return {}; }
};

// Answers each request with the status that `judge` returns; keeps the times of the samples that it
// took.
class Receiver {
 public:
  using Judge = std::function<int(const v1::RemoteWriteRequest&)>;
  explicit Receiver(Judge judge) : judge_(std::move(judge)) {
    server_.Post("/write", [this](const httplib::Request& request, httplib::Response& response) {
      std::string message;
      v1::RemoteWriteRequest write;
      if (request.get_header_value("Content-Encoding") != "snappy" ||
          !snappy::Uncompress(request.body.data(), request.body.size(), &message) ||
          !write.ParseFromString(message)) {
        response.status = 415;
        return;
      }
      absl::MutexLock lock(&mutex_);
      ++requests_;
      if (request.get_header_value("Authorization") != authorization_) {
        response.status = 401;
        return;
      }
      response.status = judge_(write);
      if (response.status == 204) {
        taken_.push_back(write);
      }
    });
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) {
      std::this_thread::yield();
    }
  }
  ~Receiver() {
    server_.stop();
    thread_.join();
  }
  [[nodiscard]] std::string url() const {
    return absl::StrCat("http://127.0.0.1:", port_, "/write");
  }
  void DemandAuthorization(const std::string& authorization) {
    absl::MutexLock lock(&mutex_);
    authorization_ = authorization;
  }
  [[nodiscard]] int requests() {
    absl::MutexLock lock(&mutex_);
    return requests_;
  }
  [[nodiscard]] std::vector<int64_t> Times() {
    absl::MutexLock lock(&mutex_);
    std::vector<int64_t> times;
    for (const v1::RemoteWriteRequest& write : taken_) {
      for (const v1::RemoteTimeSeries& series : write.timeseries()) {
        times.push_back(series.samples(0).timestamp() - kNowMs);
      }
    }
    return times;
  }
  [[nodiscard]] v1::RemoteTimeSeries First() {
    absl::MutexLock lock(&mutex_);
    return taken_.at(0).timeseries(0);
  }

 private:
  const Judge judge_;
  httplib::Server server_;
  int port_ = 0;
  std::thread thread_;
  absl::Mutex mutex_;
  int requests_ = 0;
  std::string authorization_;
  std::vector<v1::RemoteWriteRequest> taken_;
};

int TakeAll(const v1::RemoteWriteRequest& /*write*/) {
  return 204;
}

v1::MetricBatch Batch(int64_t number, const std::vector<int64_t>& offsets_ms) {
  v1::MetricBatch batch;
  batch.set_number(number);
  v1::Label& device = *batch.add_labels();
  device.set_key("device");
  device.set_value("mast");
  v1::MetricSeries& series = *batch.add_series();
  series.set_name("wattle_device_power_watts");
  v1::Label& source = *series.add_labels();
  source.set_key("source");
  source.set_value("ina3221");
  for (const int64_t offset : offsets_ms) {
    batch.add_at_unix_milliseconds(kNowMs + offset);
    series.add_values(4.5);
  }
  return batch;
}

class RemoteWriterTest : public testing::Test {
 protected:
  RemoteWriterTest()
      : path_(absl::StrCat(testing::TempDir(), "/old_samples_", getpid(), "_",
                           testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove(path_);
  }
  ~RemoteWriterTest() override { std::filesystem::remove(path_); }

  std::unique_ptr<RemoteWriter> Start(const std::string& url, const Credentials& credentials = {}) {
    auto writer = RemoteWriter::Start({.url = url,
                                       .credentials = credentials,
                                       .old_samples_path = path_,
                                       .old_samples_bytes_max = old_samples_bytes_max_,
                                       .backoff_min = absl::Milliseconds(1),
                                       .backoff_max = absl::Milliseconds(10)},
                                      clock_);
    EXPECT_TRUE(writer.ok()) << writer.status();
    return *std::move(writer);
  }
  static void TakeAndWait(RemoteWriter& writer, v1::MetricBatch batch) {
    absl::Notification done;
    writer.Take(DeviceId("d1"), std::move(batch), [&] { done.Notify(); });
    done.WaitForNotification();
  }
  static std::string Metrics(const RemoteWriter& writer) {
    telemetry::MetricsPage page;
    writer.AddMetrics(page);
    return page.Text();
  }
  [[nodiscard]] std::string OldSamplesText() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  FixedClock clock_;
  const std::string path_;
  int64_t old_samples_bytes_max_ = int64_t{1} << 20;
};

TEST_F(RemoteWriterTest, ABatchIsAcknowledgedOnceItWasTaken) {
  Receiver receiver(TakeAll);
  const auto writer = Start(receiver.url());
  TakeAndWait(*writer, Batch(1, {-30'000, -15'000}));
  EXPECT_THAT(receiver.Times(), ElementsAre(-30'000, -15'000));
  std::string labels;
  const v1::RemoteTimeSeries first = receiver.First();
  for (const v1::RemoteLabel& label : first.labels()) {
    absl::StrAppend(&labels, label.name(), "=", label.value(), " ");
  }
  EXPECT_EQ(labels,
            "__name__=wattle_device_power_watts device=mast device_id=d1 instance=d1 "
            "job=wattle-worker source=ina3221 ");
  EXPECT_EQ(first.samples(0).value(), 4.5);
  EXPECT_THAT(Metrics(*writer), HasSubstr("wattle_coordinator_remote_write_samples_total 2"));
}

TEST_F(RemoteWriterTest, AReceiverInTroubleIsAskedAgain) {
  int trouble = 3;
  Receiver receiver([&](const v1::RemoteWriteRequest&) { return trouble-- > 0 ? 503 : 204; });
  const auto writer = Start(receiver.url());
  TakeAndWait(*writer, Batch(1, {0}));
  EXPECT_THAT(receiver.Times(), ElementsAre(0));
  EXPECT_EQ(receiver.requests(), 4);
  EXPECT_THAT(Metrics(*writer),
              HasSubstr("wattle_coordinator_remote_write_failed_requests_total 3"));
}

// A wrong password does not refuse the samples, which wait for the right one.
TEST_F(RemoteWriterTest, SamplesWaitForTheRightPassword) {
  const std::string secret = absl::StrCat(path_, ".secret");
  const auto write = [&secret](const std::string& text) {
    std::ofstream(secret) << text;
    std::filesystem::permissions(
        secret, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  };
  write("wrong\n");
  Receiver receiver(TakeAll);
  receiver.DemandAuthorization("Basic ZmxlZXQ6cmlnaHQ=");  // fleet:right
  const auto writer = Start(receiver.url(), {.user = "fleet", .password_file = secret});
  absl::Notification done;
  writer->Take(DeviceId("d1"), Batch(1, {0}), [&] { done.Notify(); });
  while (receiver.requests() < 2) {
    std::this_thread::yield();
  }
  EXPECT_THAT(receiver.Times(), ElementsAre());
  write("right\n");
  done.WaitForNotification();
  EXPECT_THAT(receiver.Times(), ElementsAre(0));
  EXPECT_THAT(Metrics(*writer),
              HasSubstr("remote_write_refused_samples_total{reason=\"refused\"} 0"));
  std::filesystem::remove(secret);
}

TEST_F(RemoteWriterTest, OneRefusedScrapeCostsNoOther) {
  Receiver receiver([](const v1::RemoteWriteRequest& write) {
    for (const v1::RemoteTimeSeries& series : write.timeseries()) {
      if (series.samples(0).timestamp() == kNowMs - 3000) {
        return 400;
      }
    }
    return 204;
  });
  const auto writer = Start(receiver.url());
  TakeAndWait(*writer, Batch(1, {-5000, -4000, -3000, -2000, -1000}));
  EXPECT_THAT(receiver.Times(), ElementsAre(-5000, -4000, -2000, -1000));
  EXPECT_THAT(
      Metrics(*writer),
      HasSubstr("wattle_coordinator_remote_write_refused_samples_total{reason=\"refused\"} 1"));
  EXPECT_THAT(OldSamplesText(), HasSubstr(" 4.5 1899999997.000\n"));
}

TEST_F(RemoteWriterTest, SamplesThatAreTooOldAreKeptAndCountedAndNotSent) {
  Receiver receiver(TakeAll);
  const auto writer = Start(receiver.url());
  const int64_t day_ms = 86'400'000;
  TakeAndWait(*writer, Batch(1, {-8 * day_ms, -6 * day_ms, 0}));
  EXPECT_THAT(receiver.Times(), ElementsAre(-6 * day_ms, 0));
  EXPECT_EQ(OldSamplesText(),
            "wattle_device_power_watts{device=\"mast\",device_id=\"d1\",instance=\"d1\","
            "job=\"wattle-worker\",source=\"ina3221\"} 4.5 1899308800.000\n");
  EXPECT_THAT(
      Metrics(*writer),
      HasSubstr("wattle_coordinator_remote_write_refused_samples_total{reason=\"too_old\"} 1"));
  EXPECT_THAT(Metrics(*writer), HasSubstr("wattle_coordinator_remote_write_lost_samples_total 0"));
}

TEST_F(RemoteWriterTest, TheFileOfOldSamplesHasABoundAndWhatItDoesNotTakeIsCounted) {
  Receiver receiver(TakeAll);
  old_samples_bytes_max_ = 300;  // Two samples take 252 bytes.
  const auto writer = Start(receiver.url());
  const int64_t days_ms = 8 * int64_t{86'400'000};
  TakeAndWait(*writer, Batch(1, {-days_ms, 1 - days_ms, 2 - days_ms}));
  EXPECT_EQ(std::filesystem::file_size(path_), 252);
  EXPECT_THAT(Metrics(*writer), HasSubstr("wattle_coordinator_remote_write_lost_samples_total 1"));
}

TEST_F(RemoteWriterTest, SamplesFromAClockThatIsAheadAreDropped) {
  Receiver receiver(TakeAll);
  const auto writer = Start(receiver.url());
  TakeAndWait(*writer, Batch(1, {0, 3'600'000}));
  EXPECT_THAT(receiver.Times(), ElementsAre(0));
  EXPECT_THAT(Metrics(*writer), HasSubstr("wattle_coordinator_remote_write_lost_samples_total 1"));
}

TEST_F(RemoteWriterTest, ABatchThatComesAgainWhileItWaitsIsSentOnceAndAnsweredOnTheNewStream) {
  absl::Notification in_trouble;
  absl::Mutex mutex;
  bool up = false;
  Receiver receiver([&](const v1::RemoteWriteRequest&) {
    if (!in_trouble.HasBeenNotified()) {
      in_trouble.Notify();
    }
    absl::MutexLock lock(&mutex);
    return up ? 204 : 503;
  });
  const auto writer = Start(receiver.url());
  bool first_answered = false;
  writer->Take(DeviceId("d1"), Batch(1, {0}), [&] { first_answered = true; });
  in_trouble.WaitForNotification();
  absl::Notification done;
  writer->Take(DeviceId("d1"), Batch(1, {0}), [&] { done.Notify(); });
  {
    absl::MutexLock lock(&mutex);
    up = true;
  }
  done.WaitForNotification();
  EXPECT_FALSE(first_answered);
  EXPECT_THAT(receiver.Times(), ElementsAre(0));
}

TEST_F(RemoteWriterTest, EndsWhileTheReceiverIsAway) {
  const auto writer = Start("http://127.0.0.1:1/write");
  writer->Take(DeviceId("d1"), Batch(1, {0}), [] { FAIL() << "nobody took it"; });
}

TEST_F(RemoteWriterTest, AUrlWithoutAPathIsRefused) {
  for (const char* url : {"", "127.0.0.1:9090", "http://", "http:///write", "http://host:9090"}) {
    const auto writer = RemoteWriter::Start({.url = url}, clock_);
    EXPECT_TRUE(absl::IsInvalidArgument(writer.status())) << url;
  }
}

}  // namespace
}  // namespace wattle::remote_write

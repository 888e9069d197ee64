// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Sends the samples that workers push to Prometheus by remote write 1.0, on its own thread. A batch
// is acknowledged to its worker only when Prometheus has it. Until then the worker keeps the batch,
// so that neither a stop of the coordinator nor of Prometheus loses samples; the coordinator stores
// nothing. Requests are repeated with backoff until they are answered. A repeated sample is no
// duplicate, because Prometheus identifies a sample by its series and time. Samples that Prometheus
// refuses for good are counted by reason; those older than its window go to a file.
// Thread-safe.
#ifndef WATTLE_COORDINATOR_REMOTE_WRITE_REMOTE_WRITER_H_
#define WATTLE_COORDINATOR_REMOTE_WRITE_REMOTE_WRITER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "base/clock.h"
#include "coordinator/remote_write/credentials.h"
#include "coordinator/remote_write/scrape.h"
#include "coordinator/runtime/runtime_ports.h"

namespace wattle::remote_write {

struct RemoteWriteOptions {
  std::string url;  // "http://127.0.0.1:9090/api/v1/write"
  Credentials credentials = {};
  // Prometheus' out_of_order_time_window, as in deploy/prometheus. Samples within an hour of its
  // edge already count as too old: Prometheus answers some of them with an error that looks
  // temporary.
  absl::Duration window = absl::Hours(7 * 24);
  // File for samples that Prometheus refuses as older than its window, as OpenMetrics lines.
  std::string old_samples_path = {};
  int64_t old_samples_bytes_max = int64_t{256} << 20;
  absl::Duration backoff_min = absl::Seconds(1);
  absl::Duration backoff_max = absl::Minutes(1);
};

class RemoteWriter final : public runtime::MetricSink {
 public:
  // Prometheus need not run yet. Errors: kInvalidArgument for a text that is not a URL and for what
  // CheckCredentials refuses, with the name of the flag.
  static absl::StatusOr<std::unique_ptr<RemoteWriter>> Start(const RemoteWriteOptions& options,
                                                             const Clock& clock);
  ~RemoteWriter() override;

  void Take(const DeviceId& device, v1::MetricBatch batch, std::function<void()> done) override;
  void AddMetrics(telemetry::MetricsPage& page) const override;

 private:
  struct Waiting {
    DeviceId device;
    v1::MetricBatch batch;
  };
  struct Counts {
    int64_t samples = 0;
    std::map<std::string, int64_t> refused_samples;  // Key: the reason.
    int64_t unkept_samples = 0;  // Refused, and not in the file of old samples either.
    int64_t requests = 0;
    int64_t failed_requests = 0;
    double last_success_unix_seconds = 0;
  };
  enum class Answer { kTaken, kRefused, kStopping };

  RemoteWriter(const RemoteWriteOptions& options, std::string host, std::string path,
               const Clock& clock);
  void Run();
  bool SendAll(const std::vector<Waiting>& batches);
  // False: the process ends before every request was answered.
  bool Send(absl::Span<const Scrape> scrapes);
  Answer PostUntilAnswered(absl::Span<const Scrape> scrapes);
  absl::Status Post(const std::string& body, bool* refused);
  void Refuse(const Scrape& scrape, const std::string& reason, bool keep);
  bool WaitBefore(absl::Duration pause);  // False: the writer stops.

  const RemoteWriteOptions options_;
  const std::string host_;  // "http://127.0.0.1:9090"
  const std::string path_;
  const std::string shown_url_;  // without the query, which may hold a key
  const Clock& clock_;
  absl::Status last_error_;  // Only the thread uses it, to log an error only when it changes.
  mutable absl::Mutex mutex_;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  // The callbacks of the batches that wait or are being sent, by device and number.
  std::map<std::pair<DeviceId, int64_t>, std::function<void()>> answers_ ABSL_GUARDED_BY(mutex_);
  Counts counts_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace wattle::remote_write

#endif  // WATTLE_COORDINATOR_REMOTE_WRITE_REMOTE_WRITER_H_

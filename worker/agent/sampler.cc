// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/sampler.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace wattle::agent {
namespace {

// Ten times a second is enough for every sum of energy, at little cost.
constexpr absl::Duration kBusyPeriodMin = absl::Milliseconds(100);
constexpr absl::Duration kIdlePeriodMin = absl::Milliseconds(500);
constexpr absl::Duration kFarewell = absl::Milliseconds(500);

}  // namespace

// The thread shares this object and may outlive the sampler inside a read.
struct Sampler::Line {
  size_t number = 0;
  std::unique_ptr<telemetry::Source> source;
  const Clock* clock = nullptr;

  std::atomic<bool> busy{false};
  std::atomic<int64_t> reading_since_ns{0};  // boot time; 0: in no read

  absl::Mutex mutex;  // held during the sink's call, which may wait for its own reader
  Sink sink ABSL_GUARDED_BY(mutex);
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  bool ended ABSL_GUARDED_BY(mutex) = false;
};

Sampler::Sampler(std::vector<std::unique_ptr<telemetry::Source>> sources, Sink sink,
                 const Clock& clock) {
  for (std::unique_ptr<telemetry::Source>& source : sources) {
    auto line = std::make_shared<Line>();
    line->number = lines_.size();
    line->source = std::move(source);
    line->clock = &clock;
    {
      absl::MutexLock lock(&line->mutex);
      line->sink = sink;
    }
    lines_.push_back(line);
    std::thread([line] { Run(line); }).detach();
  }
}

Sampler::~Sampler() {
  for (const std::shared_ptr<Line>& line : lines_) {
    absl::MutexLock lock(&line->mutex);
    line->stopping = true;
    line->sink = nullptr;
  }
  for (const std::shared_ptr<Line>& line : lines_) {
    absl::MutexLock lock(&line->mutex);
    line->mutex.AwaitWithTimeout(absl::Condition(&line->ended), kFarewell);
  }
}

void Sampler::Run(const std::shared_ptr<Line>& line) {
  const absl::Duration cadence = line->source->info().cadence;
  while (true) {
    const Monotonic begin = line->clock->Boottime();
    {
      absl::MutexLock lock(&line->mutex);
      if (line->stopping) {
        line->ended = true;
        return;
      }
    }
    line->reading_since_ns = absl::ToInt64Nanoseconds(begin.since_boot());
    absl::StatusOr<std::vector<telemetry::Reading>> readings = line->source->Poll(begin);
    // A chip may take a second to answer. If the source gives no time of measurement, the middle of
    // the read is the best estimate.
    const Monotonic end = line->clock->Boottime();
    if (readings.ok()) {
      for (telemetry::Reading& reading : *readings) {
        if (reading.taken_at == begin) {
          reading.taken_at = begin + (end - begin) / 2;
        }
      }
    }
    line->reading_since_ns = 0;
    absl::MutexLock lock(&line->mutex);
    if (line->sink) {
      line->sink(line->number, std::move(readings));
    }
    const absl::Duration period = std::max(cadence, line->busy ? kBusyPeriodMin : kIdlePeriodMin);
    line->mutex.AwaitWithTimeout(absl::Condition(&line->stopping),
                                 std::max(period - (end - begin), absl::Milliseconds(1)));
  }
}

void Sampler::SetBusy(bool busy) {
  for (const std::shared_ptr<Line>& line : lines_) {
    line->busy = busy;
  }
}

std::vector<size_t> Sampler::Hung() const {
  std::vector<size_t> hung;
  for (const std::shared_ptr<Line>& line : lines_) {
    const Monotonic since(absl::Nanoseconds(line->reading_since_ns.load()));
    if (since > Monotonic() && line->clock->Boottime() - since > line->source->info().deadline) {
      hung.push_back(line->number);
    }
  }
  return hung;
}

}  // namespace wattle::agent

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a worker pushed, as Prometheus' remote write wants it: one request for each scrape time, so
// that scrapes can be sent together, and apart where one of them is refused. Pure; thread-safe.
#ifndef WATTLE_COORDINATOR_REMOTE_WRITE_SCRAPE_H_
#define WATTLE_COORDINATOR_REMOTE_WRITE_SCRAPE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"

#include "units/id.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/remote_write.pb.h"

namespace wattle::remote_write {

struct Scrape {
  absl::Time at;
  v1::RemoteWriteRequest request;  // One sample in each series.
};

// Labels: those of the batch and the series, device_id as the stream has it, and job and instance
// as a scrape would set them. Absent values (NaN) are left out; a scrape of a malformed batch may
// lack series.
std::vector<Scrape> ScrapesOf(const DeviceId& device, const v1::MetricBatch& batch);

// All of them in one request.
v1::RemoteWriteRequest Join(absl::Span<const Scrape> scrapes);

// As OpenMetrics lines with times, which `promtool tsdb create-blocks-from openmetrics` reads.
std::string ToOpenMetrics(const Scrape& scrape);

}  // namespace wattle::remote_write

#endif  // WATTLE_COORDINATOR_REMOTE_WRITE_SCRAPE_H_

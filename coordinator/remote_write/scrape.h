// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Converts pushed samples to Prometheus' remote write messages: one request for each scrape time.
// Requests can therefore be sent together, and one by one if Prometheus refuses one of them. Pure;
// thread-safe.
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

// The batch as one Scrape for each time. The labels are those of the batch and the series,
// device_id from the stream, and job and instance as a scrape would set them. Absent values (NaN)
// are left out. A scrape of a malformed batch may lack series.
std::vector<Scrape> ScrapesOf(const DeviceId& device, const v1::MetricBatch& batch);

// Joins the scrapes into one request.
v1::RemoteWriteRequest Join(absl::Span<const Scrape> scrapes);

// The scrape as OpenMetrics lines with timestamps, which `promtool tsdb create-blocks-from
// openmetrics` reads.
std::string ToOpenMetrics(const Scrape& scrape);

}  // namespace wattle::remote_write

#endif  // WATTLE_COORDINATOR_REMOTE_WRITE_SCRAPE_H_

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/remote_write/scrape.h"
#include "tests/fuzz/fuzz_target.h"

// A batch of a worker's samples, as received.
WATTLE_FUZZ_TARGET(remote_write, bytes) {
  v1::MetricBatch batch;
  if (!batch.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError("no batch");
  }
  const auto scrapes = remote_write::ScrapesOf(DeviceId("d0123456789abcdef"), batch);
  for (const remote_write::Scrape& scrape : scrapes) {
    (void)remote_write::ToOpenMetrics(scrape);
  }
  (void)remote_write::Join(scrapes);
  return absl::OkStatus();
}

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Keeps the samples that Prometheus refuses because they are older than its window: one text file
// of OpenMetrics lines, which a person can load with `promtool tsdb create-blocks-from
// openmetrics`. The file has a maximum size. One thread owns an object.
#ifndef WATTLE_COORDINATOR_REMOTE_WRITE_OLD_SAMPLES_H_
#define WATTLE_COORDINATOR_REMOTE_WRITE_OLD_SAMPLES_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

#include "coordinator/remote_write/scrape.h"

namespace wattle::remote_write {

class OldSamples {
 public:
  OldSamples(std::string path, int64_t size_bytes_max)
      : path_(std::move(path)), size_bytes_max_(size_bytes_max) {}

  // Appends the scrape durably. Errors: kResourceExhausted when the file has reached its maximum
  // size, with the file's name and the remedy.
  absl::Status Keep(const Scrape& scrape);

 private:
  const std::string path_;
  const int64_t size_bytes_max_;
};

}  // namespace wattle::remote_write

#endif  // WATTLE_COORDINATOR_REMOTE_WRITE_OLD_SAMPLES_H_

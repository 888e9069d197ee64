// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-journal-load DIRECTORY SECONDS: commits one event per transaction to a journal in
// DIRECTORY, each durable before the next one, and prints their number.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "coordinator/store/journal.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: wattle-journal-load DIRECTORY SECONDS\n");
    return 2;
  }
  auto journal = wattle::store::Journal::Open(std::string(argv[1]) + "/journal.db");
  if (!journal.ok()) {
    std::fprintf(stderr, "%s\n", std::string(journal.status().message()).c_str());
    return 1;
  }
  const absl::Duration span = absl::Seconds(std::atoi(argv[2]));
  const absl::Time start = absl::Now();
  int64_t commits = 0;
  while (absl::Now() - start < span) {
    wattle::v1::Event event;
    event.set_sequence(commits + 1);
    event.set_at_unix_seconds(absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
    event.mutable_device_resumed()->set_device_id("load-0000");
    if (const absl::Status status = (*journal)->Append(absl::MakeConstSpan(&event, 1));
        !status.ok()) {
      std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
      return 1;
    }
    ++commits;
  }
  std::printf("commits=%lld seconds=%.3f\n", static_cast<long long>(commits),
              absl::ToDoubleSeconds(absl::Now() - start));
  return 0;
}

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/export/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

#include "base/file.h"

namespace wattle::telemetry {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

void AddFiles(MetricsPage& page) {
  std::error_code error;
  int64_t open_files = 0;
  for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end;
       !error && entry != end; entry.increment(error)) {
    ++open_files;
  }
  if (!error) {
    page.Gauge("process_open_fds", "Open file descriptors.", {}, static_cast<double>(open_files));
  }
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    page.Gauge("process_max_fds", "File descriptors that the process may open.", {},
               static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace

void AddProcessMetrics(MetricsPage& page) {
  rusage usage = {};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    page.Counter("process_cpu_seconds_total", "Processor time, of the user and of the system.", {},
                 Seconds(usage.ru_utime) + Seconds(usage.ru_stime));
  }
  // Second field of statm: resident pages.
  const absl::StatusOr<std::string> memory = ReadWholeFile("/proc/self/statm", 4096);
  if (memory.ok()) {
    const std::vector<std::string> fields = absl::StrSplit(*memory, ' ');
    int64_t pages = 0;
    if (fields.size() > 1 && absl::SimpleAtoi(fields[1], &pages)) {
      page.Gauge("process_resident_memory_bytes", "Memory of the process that is in RAM.", {},
                 static_cast<double>(pages * sysconf(_SC_PAGESIZE)));
    }
  }
  AddFiles(page);
}

}  // namespace wattle::telemetry

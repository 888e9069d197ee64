// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The one file that includes spdlog, because spdlog takes long to compile.
#include "coordinator/log/log.h"

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

#include "base/clock.h"
#include "base/line_limit.h"
#include "base/utf8.h"

namespace wattle {
namespace {

struct Limit {
  absl::Mutex mutex;
  LineLimit lines ABSL_GUARDED_BY(mutex);
};

// A line may contain words of another server, such as a remote-write receiver. Only this function
// reduces them to one line, so that no caller can forget to.
void Write(spdlog::level::level_enum level, absl::string_view line) {
  spdlog::log(level, "{}", OneLine(line));
}

void WriteBounded(spdlog::level::level_enum level, absl::string_view line,
                  const std::string& cause = "") {
  static Limit& limit = *new Limit;  // Never destroyed: threads may log while the process ends.
  absl::MutexLock lock(&limit.mutex);
  for (const std::string& written : limit.lines.Take(line, Clock::Real().Boottime(), cause)) {
    Write(level, written);
  }
}

}  // namespace

void StartLog() {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("wattle-coordinator"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
}

void LogInfo(absl::string_view line) {
  WriteBounded(spdlog::level::info, line);
}

void LogWarning(absl::string_view line) {
  WriteBounded(spdlog::level::warn, line);
}

void LogAudit(const std::string& cause, absl::string_view line) {
  if (cause.empty()) {
    return Write(spdlog::level::info, line);
  }
  WriteBounded(spdlog::level::info, line, cause);
}

void LogLastLine(absl::string_view line) {
  Write(spdlog::level::critical, line);
  spdlog::shutdown();
}

}  // namespace wattle

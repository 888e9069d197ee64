// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The one file that includes spdlog, which takes longer to compile than what the others log.
#include "coordinator/log/log.h"

#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace wattle {
namespace {

void Write(spdlog::level::level_enum level, absl::string_view line) {
  spdlog::log(level, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

void StartLog(const std::string& level) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("wattle-coordinator"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
  spdlog::set_level(spdlog::level::from_str(level));
}

void LogInfo(absl::string_view line) {
  Write(spdlog::level::info, line);
}

void LogWarning(absl::string_view line) {
  Write(spdlog::level::warn, line);
}

void LogLastLine(absl::string_view line) {
  Write(spdlog::level::critical, line);
  spdlog::shutdown();
}

}  // namespace wattle

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The coordinator's log: one line for people, with its time and level. From any thread.
#ifndef WATTLE_COORDINATOR_LOG_LOG_H_
#define WATTLE_COORDINATOR_LOG_LOG_H_

#include <string>

#include "absl/strings/string_view.h"

namespace wattle {

// Sends the log to the error stream. Call StartLog before the first thread starts; lines that come
// earlier go to the output stream.
void StartLog();

// At most 20 lines a minute for one cause, then a count (base/line_limit.h).
void LogInfo(absl::string_view line);
void LogWarning(absl::string_view line);
// A line that is logged despite a flood of other lines. cause: the cause whose lines are limited as
// above; empty: always written.
void LogAudit(const std::string& cause, absl::string_view line);
// The last line before the process ends: closes the log afterwards.
void LogLastLine(absl::string_view line);

}  // namespace wattle

#endif  // WATTLE_COORDINATOR_LOG_LOG_H_

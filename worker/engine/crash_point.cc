// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/crash_point.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace wattle::engine {
namespace {

struct CrashPlan {
  std::string site;
  std::string operation;
  int64_t count = 0;
  FileOperationMoment moment = FileOperationMoment::kBefore;
  std::string marker;
};

// A text that cannot be read ends the process: a test that silently kills nothing would prove
// nothing.
std::optional<CrashPlan> PlanFromEnvironment() {
  // NOLINTBEGIN(concurrency-mt-unsafe): the environment is only read, and once
  const char* text = std::getenv("WATTLE_CRASH_AT");
  if (text == nullptr || *text == '\0') {
    return std::nullopt;
  }
  CrashPlan plan;
  const char* marker = std::getenv("WATTLE_CRASH_MARKER");
  plan.marker = marker == nullptr ? "" : marker;
  if (!plan.marker.empty() && access(plan.marker.c_str(), F_OK) == 0) {
    return std::nullopt;
  }
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  const bool after = parts.size() == 4 && parts[3] == "after";
  if ((parts.size() != 3 && !after) || !absl::SimpleAtoi(parts[2], &plan.count) || plan.count < 1) {
    std::fprintf(stderr, "WATTLE_CRASH_AT=%s: wanted SITE:OPERATION:N[:after]\n", text);
    std::exit(2);
  }
  // NOLINTEND(concurrency-mt-unsafe)
  plan.site = parts[0];
  plan.operation = parts[1];
  plan.moment = after ? FileOperationMoment::kAfter : FileOperationMoment::kBefore;
  return plan;
}

bool Matches(const CrashPlan& plan, absl::string_view site, absl::string_view operation) {
  const bool same_site = plan.site == site || (plan.site == "checkpoint" && site != "frame");
  return same_site && plan.operation == operation;
}

}  // namespace

void ReachCrashPoint(absl::string_view site, absl::string_view operation,
                     FileOperationMoment moment) {
  static const std::optional<CrashPlan> plan = PlanFromEnvironment();
  if (!plan.has_value() || plan->moment != moment || !Matches(*plan, site, operation)) {
    return;
  }
  static std::mutex mutex;
  static int64_t reached = 0;
  const std::lock_guard<std::mutex> lock(mutex);
  if (++reached < plan->count) {
    return;
  }
  if (!plan->marker.empty()) {
    const int file = open(plan->marker.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (file >= 0) {
      close(file);
    }
  }
  kill(getpid(), SIGKILL);
}

FileOperationObserver CrashObserver(const std::string& site) {
  return [site](FileOperation operation, FileOperationMoment moment, const std::string& /*path*/) {
    ReachCrashPoint(site, FileOperationName(operation), moment);
  };
}

}  // namespace wattle::engine

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/crash_point.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace wattle {
namespace {

struct Planned {
  CrashPlan plan;
  std::string marker;
  bool with_parent = false;
  int signal = SIGKILL;
};

std::optional<Planned> FromEnvironment() {
  // NOLINTBEGIN(concurrency-mt-unsafe): the environment is only read, and once
  const char* text = std::getenv("WATTLE_CRASH_AT");
  const char* marker = std::getenv("WATTLE_CRASH_MARKER");
  const bool with_parent = std::getenv("WATTLE_CRASH_PARENT") != nullptr;
  const char* signal = std::getenv("WATTLE_CRASH_SIGNAL");
  if (text == nullptr || *text == '\0' ||
      (marker != nullptr && *marker != '\0' && access(marker, F_OK) == 0)) {
    return std::nullopt;
  }
  const std::optional<CrashPlan> plan = ParseCrashPlan(text);
  if (!plan.has_value()) {
    std::fprintf(stderr, "WATTLE_CRASH_AT=%s: wanted NAME[:COUNT][:after]\n", text);
    std::exit(2);
  }
  if (signal != nullptr && absl::string_view(signal) != "STOP") {
    std::fprintf(stderr, "WATTLE_CRASH_SIGNAL=%s: wanted STOP\n", signal);
    std::exit(2);
  }
  // NOLINTEND(concurrency-mt-unsafe)
  return Planned{*plan, marker == nullptr ? "" : marker, with_parent,
                 signal == nullptr ? SIGKILL : SIGSTOP};
}

}  // namespace

std::optional<CrashPlan> ParseCrashPlan(absl::string_view text) {
  CrashPlan plan;
  std::vector<std::string> parts = absl::StrSplit(text, ':');
  if (parts.back() == "after") {
    plan.moment = FileOperationMoment::kAfter;
    parts.pop_back();
  }
  int64_t count = 0;
  if (!parts.empty() && absl::SimpleAtoi(parts.back(), &count)) {
    plan.count = count;
    parts.pop_back();
  }
  plan.name = absl::StrJoin(parts, ":");
  if (plan.name.empty() || plan.name.front() == ':' || plan.name.back() == ':' || plan.count < 1) {
    return std::nullopt;
  }
  return plan;
}

void CrashPoint(absl::string_view name, FileOperationMoment moment) {
  static const std::optional<Planned> planned = FromEnvironment();
  if (!planned.has_value() || planned->plan.moment != moment || planned->plan.name != name) {
    return;
  }
  static std::mutex mutex;
  static int64_t passed = 0;
  const std::lock_guard<std::mutex> lock(mutex);
  if (++passed != planned->plan.count) {
    return;
  }
  if (!planned->marker.empty()) {
    const int file = open(planned->marker.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (file >= 0) {
      close(file);
    }
  }
  if (planned->with_parent) {
    kill(getppid(), SIGKILL);
  }
  kill(getpid(), planned->signal);
}

FileOperationObserver CrashObserver(const std::string& site) {
  return [site](FileOperation operation, FileOperationMoment moment, const std::string& /*path*/) {
    CrashPoint(absl::StrCat(site, ":", FileOperationName(operation)), moment);
  };
}

}  // namespace wattle

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/runner_watch.h"

#include "absl/strings/str_cat.h"

namespace wattle::agent {
namespace {

// A sign of life costs the runner about 50 microseconds of processor time. All signs of life within
// the stuck limit cost far less than this.
constexpr double kWorkCpuSeconds = 0.05;
// If the caller checks this much later than the deadline, the machine slept, and the runner slept
// too.
constexpr absl::Duration kOversleep = absl::Seconds(10);

std::string Seconds(absl::Duration time) {
  return absl::StrCat(absl::ToInt64Seconds(time), " s");
}

}  // namespace

void RunnerWatch::Start(Monotonic now) {
  *this = RunnerWatch(limits_);
  watching_ = true;
  heard_ = now;
  worked_ = now;
}

void RunnerWatch::OnWork(Monotonic now) {
  heard_any_ = true;
  heard_ = now;
  worked_ = now;
}

void RunnerWatch::OnAlive(double cpu_seconds, Monotonic now) {
  heard_any_ = true;
  heard_ = now;
  if (cpu_seconds - cpu_seconds_ >= kWorkCpuSeconds) {
    cpu_seconds_ = cpu_seconds;
    worked_ = now;
  }
}

void RunnerWatch::SetWaiting(bool waiting, Monotonic now) {
  // A runner need not work at the gate, so the stuck limit counts from the end of the wait.
  if (waiting_ && !waiting) {
    worked_ = now;
  }
  waiting_ = waiting;
}

Monotonic RunnerWatch::SilenceDeadline() const {
  return heard_ + (heard_any_ ? limits_.silence : limits_.start);
}

Monotonic RunnerWatch::StuckDeadline() const {
  return worked_ + std::max(limits_.stuck, 10 * longest_step_);
}

std::optional<Monotonic> RunnerWatch::deadline() const {
  if (!watching_) {
    return std::nullopt;
  }
  return waiting_ ? SilenceDeadline() : std::min(SilenceDeadline(), StuckDeadline());
}

std::string RunnerWatch::Look(Monotonic now) {
  const std::optional<Monotonic> due = deadline();
  if (!due || now < *due) {
    return "";
  }
  if (now - *due > kOversleep) {
    heard_ = now;
    worked_ = now;
    return "";
  }
  if (now >= SilenceDeadline()) {
    return absl::StrCat("said nothing for ", Seconds(now - heard_));
  }
  return absl::StrCat("used no processor time and ended no step for ", Seconds(now - worked_));
}

}  // namespace wattle::agent

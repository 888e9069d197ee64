// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/submissions.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

namespace wattle::sim {
namespace {

constexpr uint64_t kFirstStream = 100;  // Earlier streams are for boards.

std::vector<double> DrawnArrivals(const JobGroup& group, uint64_t seed) {
  std::vector<double> times;
  Random random(seed);
  double at = group.begin_seconds;
  while (true) {
    at += DrawPause(group.per_day, random);
    if (at >= group.end_seconds) {
      return times;
    }
    times.push_back(at);
  }
}

}  // namespace

uint64_t SeedOf(uint64_t seed, uint64_t stream) {
  return Random(seed * 7919 + stream).Next();
}

double DrawPause(double per_day, Random& random) {
  return -std::log(1.0 - random.Fraction()) * kSecondsOfDay / per_day;
}

std::vector<Submission> SubmissionsOf(const Scenario& scenario, uint64_t seed) {
  std::vector<Submission> submissions;
  for (size_t i = 0; i < scenario.jobs.size(); ++i) {
    const JobGroup& group = scenario.jobs[i];
    std::vector<Arrival> arrivals = group.arrivals;
    if (group.per_day > 0.0) {
      for (const double at : DrawnArrivals(group, SeedOf(seed, kFirstStream + i))) {
        arrivals.push_back({.at_seconds = at});
      }
    }
    int number = 0;
    for (const Arrival& arrival : arrivals) {
      v1::JobSpec spec = group.spec;
      spec.set_name(absl::StrCat(group.spec.name(), "-", ++number));
      if (arrival.deadline_seconds > 0.0) {
        spec.set_deadline_seconds(arrival.deadline_seconds);
      }
      submissions.push_back({i, arrival.at_seconds, std::move(spec)});
    }
  }
  return submissions;
}

}  // namespace wattle::sim

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/liveness.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "coordinator/core/core.h"
#include "proto/job_kind.h"
#include "sim/random.h"
#include "sim/runner.h"

namespace wattle::sim {
namespace {

constexpr double kHealthyShare = 0.5;
constexpr double kTimesPrediction = 3.0;
// Fetch, start, load, checkpoint and upload of one attempt.
constexpr double kAroundRunSeconds = 60.0;
// A job that no device accepts for this long goes elsewhere, and a failed attempt waits before its
// repetition.
constexpr double kWithdrawnSeconds = 120.0;
constexpr double kBackoffSeconds = 600.0;
// A board that tests a release does no work: three starts in ten minutes, and again if the power
// failed meanwhile.
constexpr double kTrialSeconds = 1200.0;
// Work waits this long after the last dip of a weak supply.
constexpr double kWeakSupplySeconds = 600.0;

}  // namespace

void Liveness::Begin() {
  begun_seconds_ = world_.loop.now_seconds();
  // Separate random numbers, so that the world until now is the one of its seed.
  Random random(world_.options.seed * 32'452'843);
  const auto boards = static_cast<int>(world_.workers.size());
  const int healthy = random.Below(boards);
  for (int board = 0; board < boards; ++board) {
    if (board != healthy && !random.Chance(kHealthyShare)) {
      dead_.insert(board);
      world_.workers[static_cast<size_t>(board)]->Die();
    } else {
      slower_by_ = std::max(slower_by_, world_.workers[static_cast<size_t>(board)]->SlowestBy());
    }
  }
}

// A job of a pair may have only dead boards left once its mate succeeded on the last healthy one. A
// job that waits for the output of such a job needs a dead board too.
bool Liveness::NeedsTheDead(const v1::Job& job) const {
  const auto is_named = [&job](int board) {
    const auto& labels = job.spec().required_labels();
    return std::find(labels.begin(), labels.end(), absl::StrCat("device=board-", board)) !=
           labels.end();
  };
  if (job.spec().has_apart() || std::any_of(dead_.begin(), dead_.end(), is_named)) {
    return true;
  }
  const std::vector<JobId> before = core::ReferencedJobs(job.spec());
  return std::any_of(before.begin(), before.end(), [this](const JobId& id) {
    const v1::JobRecord* const record = core::FindJob(world_.coordinator.durable(), id);
    return record != nullptr && !IsTerminal(record->job().state()) && NeedsTheDead(record->job());
  });
}

std::vector<const v1::Job*> Liveness::OpenJobs() const {
  std::vector<const v1::Job*> open;
  const core::State& state = world_.coordinator.durable();
  for (const int64_t number : state.open_jobs) {
    const v1::Job& job = state.jobs.at(number).job();
    if (!NeedsTheDead(job)) {
      open.push_back(&job);
    }
  }
  return open;
}

double Liveness::PredictedSeconds(const v1::JobSpec& spec) const {
  const double run = KindOf(spec).wraps_workload
                         ? spec.profile().run_seconds() * spec.profile().runs_max()
                         : static_cast<double>(StepsOf(spec)) * world_.options.step_seconds;
  return run * slower_by_ + kAroundRunSeconds;
}

// On boards that are never idle while a job waits, every order of the jobs keeps this bound: the
// sum over the boards, plus the longest chain of jobs that wait for one another (Graham 1966,
// "Bounds for certain multiprocessing anomalies"). A chain contains at most all chained jobs.
double Liveness::UntilSeconds() {
  double sum = 0.0;
  double longest = 0.0;
  double chained = 0.0;
  for (const v1::Job* job : OpenJobs()) {
    const double seconds = PredictedSeconds(job->spec());
    sum += seconds;
    longest = std::max(longest, seconds);
    chained += core::ReferencedJobs(job->spec()).empty() ? 0.0 : seconds;
  }
  const auto healthy = static_cast<double>(world_.workers.size() - dead_.size());
  predicted_seconds_ = std::max(predicted_seconds_, sum / healthy + std::max(longest, chained));
  const double notice_seconds = world_.options.lease_seconds_max + kWithdrawnSeconds +
                                kBackoffSeconds + kTrialSeconds + kWeakSupplySeconds +
                                2.0 * world_.options.outage_seconds_max +
                                2.0 * world_.options.plan_seconds;
  return begun_seconds_ + notice_seconds + kTimesPrediction * predicted_seconds_;
}

void Liveness::Check(Invariants& invariants) const {
  for (const v1::Job* job : OpenJobs()) {
    invariants.Break(absl::StrCat(
        job->job_id(), " is not over ", world_.loop.now_seconds() - begun_seconds_,
        " s after the last fault, predicted were ", predicted_seconds_, ", with ",
        world_.workers.size() - dead_.size(), " healthy boards of ", world_.workers.size(), ": ",
        v1::JobState_Name(job->state()), ", ", job->reason()));
  }
}

}  // namespace wattle::sim

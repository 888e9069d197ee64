// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/job_summary.h"

#include <set>

#include "proto/did_work.h"
#include "proto/kind_name.h"

namespace wattle {

v1::JobSummary Summarize(const v1::Job& job) {
  v1::JobSummary summary;
  summary.set_job_id(job.job_id());
  summary.set_name(job.spec().name());
  summary.set_owner(job.spec().owner());
  summary.set_project(job.spec().project());
  summary.set_kind(KindName(job.spec()));
  summary.set_objective(job.spec().objective());
  summary.set_priority(job.spec().priority());
  summary.set_state(job.state());
  summary.set_reason(job.reason());
  summary.set_submitted_unix_seconds(job.submitted_unix_seconds());
  summary.set_finished_unix_seconds(job.finished_unix_seconds());
  summary.set_output_artifact_id(job.output_artifact_id());
  summary.set_attempts(job.attempts_size());
  double joules = 0;
  std::set<v1::EnergySource> sources;
  for (const v1::Attempt& attempt : job.attempts()) {
    if (DidWork(attempt.receipt())) {
      joules += attempt.receipt().total().gross_energy_joules();
      sources.insert(SourceOf(attempt.receipt()));
    }
  }
  summary.set_total_energy_joules(joules);
  for (const v1::EnergySource source : sources) {
    summary.add_energy_sources(source);
  }
  if (job.attempts_size() > 0) {
    const v1::Attempt& last = *job.attempts().rbegin();
    summary.set_attempt_id(last.attempt_id());
    summary.set_attempt_state(last.state());
    summary.set_device_id(last.device_id());
    // The device may have been removed since; the placement still names it.
    const v1::Candidate* chosen = ChosenCandidate(last.placement());
    summary.set_device_name(last.device_name().empty() && chosen != nullptr ? chosen->device_name()
                                                                            : last.device_name());
    summary.set_emulated(last.emulated() || (chosen != nullptr && chosen->emulated()));
    summary.set_unreachable(last.unreachable());
  }
  return summary;
}

v1::EnergySource SourceOf(const v1::Receipt& receipt) {
  return receipt.emulated() ? v1::ENERGY_SOURCE_EMULATED : receipt.total().source();
}

const v1::Candidate* ChosenCandidate(const v1::Placement& placement) {
  for (const v1::Candidate& candidate : placement.best()) {
    if (candidate.device_id() == placement.device_id()) {
      return &candidate;
    }
  }
  return nullptr;
}

}  // namespace wattle

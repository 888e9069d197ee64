// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/device_artifacts.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"

#include "coordinator/core/lineage.h"
#include "coordinator/core/projects.h"

namespace wattle::core {
namespace {

using Ids = std::set<ArtifactId>;

void Add(const std::string& id, Ids& ids) {
  if (!id.empty()) {
    ids.insert(ArtifactId(id));
  }
}

void AddInputsOfLeases(const v1::DesiredSet& desired, Ids& ids) {
  for (const v1::Assignment& assignment : desired.assignments()) {
    for (const v1::ResolvedInput& input : assignment.inputs()) {
      Add(input.artifact_id(), ids);
    }
  }
}

// An attempt resumes from its job's newest checkpoint, and uploads the next one without the chunks
// that both share.
void AddCheckpointsOfLeases(const v1::DesiredSet& desired, Ids& ids) {
  for (const v1::Assignment& assignment : desired.assignments()) {
    Add(assignment.checkpoint_artifact_id(), ids);
  }
}

void AddOrderedRelease(const v1::DesiredSet& desired, Ids& ids) {
  Add(desired.upgrade().artifact_id(), ids);
}

constexpr void (*kReasons[])(const v1::DesiredSet&, Ids&) = {
    AddInputsOfLeases, AddCheckpointsOfLeases, AddOrderedRelease};

}  // namespace

std::set<ArtifactId> ArtifactsOf(const v1::DesiredSet& desired) {
  Ids ids;
  for (const auto& add : kReasons) {
    add(desired, ids);
  }
  return ids;
}

bool MayHaveLostAttempts(const State& state, const v1::Job& job) {
  return EpochOf(state) > 0 &&
         JobNumber(job.job_id()).value_or(0) < state.openings.back().next_job_number();
}

absl::Status CheckMayUpload(const State& state, const DeviceId& device) {
  const std::set<int64_t>* const own = state.jobs_of_device.Find(device);
  const bool works = own != nullptr && !own->empty();
  // The oldest open job is the first whose attempts a restore could have lost.
  if (works || (!state.open_jobs.empty() &&
                MayHaveLostAttempts(state, state.jobs.at(*state.open_jobs.begin()).job()))) {
    return absl::OkStatus();
  }
  return absl::NotFoundError(
      "no open job had an attempt on this board; upload what its own attempts make, while their "
      "jobs are open");
}

absl::Status CheckMayCommit(const State& state, const DeviceId& device,
                            const v1::ArtifactInfo& info) {
  if (info.kind() != v1::ARTIFACT_KIND_RESULT && info.kind() != v1::ARTIFACT_KIND_CHECKPOINT) {
    return absl::PermissionDeniedError(
        "info.kind: a board uploads results and checkpoints of its jobs; log in as a person to "
        "push anything else");
  }
  if (!info.name().empty()) {
    return absl::PermissionDeniedError(
        "info.name: a board names nothing; leave it out, and a person names the artifact");
  }
  const v1::JobRecord* const record = FindJob(state, JobId(info.job_id()));
  const bool worked = record != nullptr &&
                      std::any_of(record->job().attempts().begin(), record->job().attempts().end(),
                                  [&](const v1::Attempt& attempt) {
                                    return attempt.device_id() == device.value();
                                  });
  if (worked || (record != nullptr && MayHaveLostAttempts(state, record->job()))) {
    return absl::OkStatus();
  }
  return absl::NotFoundError(
      absl::StrCat("info.job_id: no attempt of \"", info.job_id().substr(0, 80),
                   "\" was on this board; upload what its own attempts made"));
}

bool IsUploadedFor(const State& state, const v1::Job& job, const ArtifactId& artifact) {
  const v1::ArtifactInfo* const info = state.artifacts.Find(artifact);
  if (info == nullptr || !ProjectsOf(*info).contains(ProjectOf(job.spec()))) {
    return false;
  }
  const std::set<ArtifactId>* const others =
      state.other_uploads.Find(JobNumber(job.job_id()).value_or(0));
  return info->job_id() == job.job_id() || (others != nullptr && others->contains(artifact));
}

}  // namespace wattle::core

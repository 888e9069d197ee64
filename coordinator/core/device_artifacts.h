// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Access of a board to artifacts: a board may read only those that its desired set requires, and
// may upload only those that its own attempts made. A stolen board's key opens and changes nothing
// else. Pure.
#ifndef WATTLE_COORDINATOR_CORE_DEVICE_ARTIFACTS_H_
#define WATTLE_COORDINATOR_CORE_DEVICE_ARTIFACTS_H_

#include <set>

#include "absl/status/status.h"

#include "coordinator/core/state.h"
#include "units/id.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/job.pb.h"

namespace wattle::core {

// desired: the board's present desired set, see DesiredFor. The table in device_artifacts.cc has
// one row for each reason to read.
std::set<ArtifactId> ArtifactsOf(const v1::DesiredSet& desired);

// Whether a board may have worked on the job for the original of which this journal is an older
// copy. The state then has no such attempt, and the board's report is the only evidence. Always
// false for jobs submitted after the restore.
bool MayHaveLostAttempts(const State& state, const v1::Job& job);
// Checks that the board may send bytes: it has work whose result may still come. Errors: kNotFound.
absl::Status CheckMayUpload(const State& state, const DeviceId& device);
// Checks that the board may upload the artifact. info: as the board sent it. Errors:
// kPermissionDenied for kinds that no board uploads; kNotFound for a job of which this board had no
// attempt, after which the worker ends its upload.
absl::Status CheckMayCommit(const State& state, const DeviceId& device,
                            const v1::ArtifactInfo& info);
// Whether a board that worked on the job uploaded the artifact for it. A report may attach only
// such an artifact to a job, because the job's project and its next board may then read the
// artifact.
bool IsUploadedFor(const State& state, const v1::Job& job, const ArtifactId& artifact);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_DEVICE_ARTIFACTS_H_

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which artifacts a board may read: those that the coordinator has told it to use, and no others.
// And which it may upload: what its own attempts made. A stolen board's key opens and changes
// nothing else. Pure.
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

// desired: what the board shall hold now, see DesiredFor. Each reason to read is a row of a table
// in device_artifacts.cc.
std::set<ArtifactId> ArtifactsOf(const v1::DesiredSet& desired);

// Whether a board may have worked on the job for a journal of which this one is an older copy: the
// state then knows no such attempt, and the board's word is all that there is. Jobs that were
// submitted after the restore have none.
bool MayHaveLostAttempts(const State& state, const v1::Job& job);
// Whether the board may send bytes: it has work whose result may still come. Errors: kNotFound.
absl::Status CheckMayUpload(const State& state, const DeviceId& device);
// Whether the board may upload the artifact. info: as the board tells it. Errors: kPermissionDenied
// for what no board uploads; kNotFound for a job of which this board had no attempt, which a worker
// takes as the end of its upload.
absl::Status CheckMayCommit(const State& state, const DeviceId& device,
                            const v1::ArtifactInfo& info);
// Whether a board that worked on the job uploaded the artifact for it. A report gives a job no
// other artifact: it would open that to the next board, and to the job's project.
bool IsUploadedFor(const State& state, const v1::Job& job, const ArtifactId& artifact);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_DEVICE_ARTIFACTS_H_

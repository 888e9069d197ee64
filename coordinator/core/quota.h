// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What one owner of jobs may use, and uses. A quota is asked when a job is submitted or an artifact
// pushed; what is open already goes on, and its outputs are kept. Pure.
#ifndef WATTLE_COORDINATOR_CORE_QUOTA_H_
#define WATTLE_COORDINATOR_CORE_QUOTA_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "coordinator/core/state.h"
#include "units/quantity.h"
#include "wattle/v1/access.pb.h"

namespace wattle::core {

struct SubmitJob;

// The owner of the quota that holds for everybody without one of their own.
inline constexpr char kEverybodysQuota[] = "*";

// The owner's own quota, else everybody's; null: no limit.
const v1::Quota* QuotaOf(const State& state, const std::string& owner);

// Whose use is counted: an owner's, or with a project all that is of it.
struct Counted {
  std::string owner = {};
  std::string project = {};  // Empty: the owner's.

  [[nodiscard]] bool Has(const v1::JobSpec& spec) const;
  [[nodiscard]] bool Has(const v1::ArtifactInfo& info) const;
};

// The counted jobs that are not in a terminal state.
int OpenJobsOf(const State& state, const Counted& counted);
// The counted jobs of the last minute, by the times of their events. Jobs that left the state for
// the history are not counted.
int SubmitsOfTheLastMinute(const State& state, const Counted& counted, absl::Time now);
// Gross joules of the counted jobs' attempts that ended in the present day (UTC), and those that
// the open jobs are expected to take, like a reservation. A job of whose energy nothing is known
// counts once an attempt of it has ended.
Joules EnergyOfToday(const State& state, const Observations& observations, const Counted& counted,
                     const Instant& now);

// Bytes of the artifacts that the owner pushed or whose jobs made, or that the project has; each
// artifact once.
int64_t ArtifactBytesOf(const State& state, const Counted& counted);
// Whether the owner may push an artifact of so many bytes that is not there yet; empty: nobody's
// quota counts. Errors: as CheckQuota.
absl::Status CheckArtifactQuota(const State& state, const std::string& owner, int64_t size_bytes);
// Whether the project may get an artifact of so many bytes that it has not. Errors: as CheckQuota.
absl::Status CheckProjectsArtifactQuota(const State& state, const std::string& project,
                                        int64_t size_bytes);

// Whether the owner may submit this job now, by their own quota and by the project's: the stricter
// holds. Errors: kResourceExhausted names the limit, the use,
// and who raises the limit.
absl::Status CheckQuota(const State& state, const Observations& observations,
                        const SubmitJob& command, const Instant& now);

// What holds for the owner or the project, with the use: everybody's quota as the owner's where
// they have none.
v1::QuotaUse DescribeQuota(const State& state, const Observations& observations,
                           const Counted& counted, const Instant& now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_QUOTA_H_

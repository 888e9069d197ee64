// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Quotas of owners of jobs, and their use. Quotas are checked when a job is submitted or an
// artifact pushed; open jobs go on, and their outputs are kept. Pure.
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

// The owner in the quota of all owners without one of their own.
inline constexpr char kEverybodysQuota[] = "*";

// The owner's own quota, else that of kEverybodysQuota; null: no limit.
const v1::Quota* QuotaOf(const State& state, const std::string& owner);

// Whose use is counted: an owner's, or that of a whole project.
struct Counted {
  std::string owner = {};
  std::string project = {};  // Empty: the owner's.

  [[nodiscard]] bool Has(const v1::JobSpec& spec) const;
  [[nodiscard]] bool Has(const v1::ArtifactInfo& info) const;
};

// The counted jobs that are not in a terminal state.
int OpenJobsOf(const State& state, const Counted& counted);
// The counted jobs of the last minute, by the times of their events, without jobs that have moved
// to the history.
int SubmitsOfTheLastMinute(const State& state, const Counted& counted, absl::Time now);
// Gross joules of the counted jobs' attempts that ended in the present day (UTC), plus the expected
// joules of the open jobs, as a reservation. A job without any prediction counts only once one of
// its attempts has ended.
Joules EnergyOfToday(const State& state, const Observations& observations, const Counted& counted,
                     const Instant& now);

// Bytes of the artifacts that the owner pushed or the owner's jobs made, or that the project has;
// each artifact counts once.
int64_t ArtifactBytesOf(const State& state, const Counted& counted);
// Checks that the owner may push a new artifact of this size; empty owner: no quota applies.
// Errors: those of CheckQuota.
absl::Status CheckArtifactQuota(const State& state, const std::string& owner, int64_t size_bytes);
// Checks that a new artifact of this size may join the project. Errors: those of CheckQuota.
absl::Status CheckProjectsArtifactQuota(const State& state, const std::string& project,
                                        int64_t size_bytes);

// Checks that the owner may submit this job now, by the stricter of the owner's and the project's
// quota. Errors: kResourceExhausted names the limit, the use, and who can raise the limit.
absl::Status CheckQuota(const State& state, const Observations& observations,
                        const SubmitJob& command, const Instant& now);

// The quota that applies to the owner or the project, with its use. An owner without a quota gets
// that of kEverybodysQuota.
v1::QuotaUse DescribeQuota(const State& state, const Observations& observations,
                           const Counted& counted, const Instant& now);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_QUOTA_H_

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A job's fields in a list, and frequent questions about its attempts. Pure; thread-safe.
#ifndef WATTLE_PROTO_JOB_SUMMARY_H_
#define WATTLE_PROTO_JOB_SUMMARY_H_

#include "wattle/v1/job.pb.h"
#include "wattle/v1/plan.pb.h"

namespace wattle {

// The fields of the job that a list shows.
v1::JobSummary Summarize(const v1::Job& job);

// The energy source of the receipt. All readings of an emulated device are emulated.
v1::EnergySource SourceOf(const v1::Receipt& receipt);

// The candidate of the device that the placement names; null: the explanation has none.
const v1::Candidate* ChosenCandidate(const v1::Placement& placement);

}  // namespace wattle

#endif  // WATTLE_PROTO_JOB_SUMMARY_H_

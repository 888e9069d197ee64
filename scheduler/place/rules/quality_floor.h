// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Checks whether a measured quality meets the floor of a job, in words for people. Pure;
// thread-safe.
#ifndef WATTLE_SCHEDULER_PLACE_RULES_QUALITY_FLOOR_H_
#define WATTLE_SCHEDULER_PLACE_RULES_QUALITY_FLOOR_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

#include "scheduler/place/snapshot.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::scheduler {

// Checks the floor of a spec: only generate and evaluate jobs that leave the quantization to the
// planner may have one, with at least one number. CheckSpecBounds has the numbers' ranges. OK for a
// spec without a floor. Errors: kInvalidArgument, the field first.
absl::Status ValidateQualityFloor(const v1::JobSpec& spec);

// "perplexity change at most 1 %, top-1 agreement at least 99 %".
std::string FloorWords(const v1::QualityFloor& floor);
// The floor's numbers for a model: "perplexity change 0.12 %, top-1 agreement 99.4 %".
std::string QualityWords(const v1::ModelQuality& quality, const v1::QualityFloor& floor);

// Whether the quality meets every number of the floor. An unmeasured number does not count as met.
bool Meets(const v1::ModelQuality& quality, const v1::QualityFloor& floor);
// Distance of the quality from the floor, for "the nearest": 0 if it meets the floor, infinity if a
// number was not measured, else the largest excess over a bound, relative to that bound (for an
// agreement: relative to what the bound leaves to 100 %).
double Shortfall(const v1::ModelQuality& quality, const v1::QualityFloor& floor);

// Why no model of the job can meet its floor, with the nearest one and the remedy; empty: a model
// meets it, or its quality is not measured yet.
std::string WhyNoneMeets(const v1::QualityFloor& floor, const std::vector<ModelView>& models);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_RULES_QUALITY_FLOOR_H_

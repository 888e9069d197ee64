// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The bounds of a job's numbers. Every reader of a spec uses this check, so that the coordinator
// and the planner refuse the same values. Thread-safe.
#ifndef WATTLE_PROTO_SPEC_BOUNDS_H_
#define WATTLE_PROTO_SPEC_BOUNDS_H_

#include "absl/status/status.h"

#include "wattle/v1/spec.pb.h"

namespace wattle {

// Checks every number of the spec, except those of a model's shape (proto/model_shape.h) and of a
// quantization recipe (proto/quantization_recipe.h). Errors: kInvalidArgument names the field, its
// value and its bounds.
absl::Status CheckSpecBounds(const v1::JobSpec& spec);

}  // namespace wattle

#endif  // WATTLE_PROTO_SPEC_BOUNDS_H_

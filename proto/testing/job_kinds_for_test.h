// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A kind of job without a part in any layer, for which each layer's table must be reported as
// incomplete.
#ifndef WATTLE_PROTO_TESTING_JOB_KINDS_FOR_TEST_H_
#define WATTLE_PROTO_TESTING_JOB_KINDS_FOR_TEST_H_

#include <vector>

#include "proto/job_kind.h"

namespace wattle {

inline std::vector<JobKind> JobKindsAndADummy() {
  std::vector<JobKind> kinds(JobKinds().begin(), JobKinds().end());
  kinds.push_back({.kind_case = static_cast<v1::JobSpec::KindCase>(15), .name = "dummy"});
  return kinds;
}

}  // namespace wattle

#endif  // WATTLE_PROTO_TESTING_JOB_KINDS_FOR_TEST_H_

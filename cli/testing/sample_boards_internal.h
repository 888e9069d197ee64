// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The boards of the sample messages, as candidates of a plan. Private to sample_*.cc.
#ifndef WATTLE_CLI_TESTING_SAMPLE_BOARDS_INTERNAL_H_
#define WATTLE_CLI_TESTING_SAMPLE_BOARDS_INTERNAL_H_

#include "wattle/v1/plan.pb.h"

namespace wattle::cli {

inline constexpr char kNanoId[] = "5b1f0c52d1e34a8f9a10000000000001";
inline constexpr char kXavierId[] = "5b1f0c52d1e34a8f9a10000000000002";
inline constexpr char kPiId[] = "5b1f0c52d1e34a8f9a10000000000003";

// The mean, with `share` of the mean above and below.
v1::Interval Range(double mean, double share);

v1::Candidate Nano();
v1::Candidate Xavier();
v1::Candidate Pi();  // refused

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TESTING_SAMPLE_BOARDS_INTERNAL_H_

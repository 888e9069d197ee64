// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Whether other programs kept the board busy during a run. Pure; thread-safe.
#ifndef WATTLE_PROTO_CONTENDED_RUN_H_
#define WATTLE_PROTO_CONTENDED_RUN_H_

#include "wattle/v1/job.pb.h"

namespace wattle {

// A run may be contended for this share of its time and still measure its board: a tenth of the
// time at half the speed makes it a twentieth slower, about as much as repeats differ.
inline constexpr double kContendedRatioMax = 0.10;

// A contended run changes no measured row.
inline bool IsContended(const v1::Receipt& receipt) {
  return receipt.contended_seconds() > kContendedRatioMax * receipt.run().seconds();
}

}  // namespace wattle

#endif  // WATTLE_PROTO_CONTENDED_RUN_H_

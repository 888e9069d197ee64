// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Whether a receipt records work. Older workers sent an empty receipt for an attempt that never
// began, and the coordinator's own receipt of a failure holds only the reason. Pure; thread-safe.
#ifndef WATTLE_PROTO_DID_WORK_H_
#define WATTLE_PROTO_DID_WORK_H_

#include "wattle/v1/job.pb.h"

namespace wattle {

// Sums and evidence skip a receipt without work, which has neither seconds nor a source.
inline bool DidWork(const v1::Receipt& receipt) {
  const v1::EnergyMeasurement& total = receipt.total();
  return total.source() != v1::ENERGY_SOURCE_UNSPECIFIED || total.seconds() > 0 ||
         total.gross_energy_joules() > 0;
}

}  // namespace wattle

#endif  // WATTLE_PROTO_DID_WORK_H_

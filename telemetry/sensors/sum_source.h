// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Several sources whose totals add up to the device's power, as one: the processors' counters and
// the GPUs' on a machine that has both. Where one of them does not answer there is no sum, for a
// part of it would be taken for the whole.
#ifndef WATTLE_TELEMETRY_SENSORS_SUM_SOURCE_H_
#define WATTLE_TELEMETRY_SENSORS_SUM_SOURCE_H_

#include <memory>
#include <string>
#include <vector>

#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

// parts: at least one; the totals of all are counters, or of all are powers, for the two do not
// add. The sum has the rank and the energy source of the first part.
std::unique_ptr<Source> MakeSumSource(std::vector<std::unique_ptr<Source>> parts,
                                      const std::string& name, const std::string& scope);

// RAPL and NVML become one source where both are usable and the GPUs count energy; else the
// candidates stay as they are.
void AddGpusToProcessors(std::vector<Candidate>& candidates);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_SUM_SOURCE_H_

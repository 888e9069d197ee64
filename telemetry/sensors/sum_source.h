// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Several sources whose totals add up to the device's power, as one source: the processors' and the
// GPUs' counters on a machine with both. If one part does not answer there is no sum, because the
// rest would pass for the whole.
#ifndef WATTLE_TELEMETRY_SENSORS_SUM_SOURCE_H_
#define WATTLE_TELEMETRY_SENSORS_SUM_SOURCE_H_

#include <memory>
#include <string>
#include <vector>

#include "telemetry/sensors/source.h"

namespace wattle::telemetry {

// parts: at least one. REQUIRES: the totals of all parts are counters, or of all are powers. The
// sum has the rank and the energy source of the first part.
std::unique_ptr<Source> MakeSumSource(std::vector<std::unique_ptr<Source>> parts,
                                      const std::string& name, const std::string& scope);

// Joins RAPL and NVML into one source if both are usable and every GPU counts energy; else the
// candidates stay unchanged.
void AddGpusToProcessors(std::vector<Candidate>& candidates);

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_SUM_SOURCE_H_

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Predicts for a device whose class has measured no work of this kind, from the processor rates
// that `wattle-worker probe --rates` measured: rows of another class times the ratio of the
// deciding rate. The deciding rate is the memory's for a generation, the low-bit product's for a
// quantized one, and the float product's for training and evaluation. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_MEASURED_RATES_H_
#define WATTLE_SCHEDULER_PREDICT_MEASURED_RATES_H_

#include <optional>
#include <string>

#include "scheduler/predict/rate.h"
#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

class ProfileTable;

// nullopt: the class has measured such work, the device reported no such rates, or no class with
// rates has measured such work.
std::optional<RunEstimate> FromMeasuredRates(const ProfileTable& table, const RunQuery& query);

// Why no board of the device's class can have these rates, in one line; empty: they are possible.
std::string RateProblemOn(const v1::DeviceInfo& device, const v1::MeasuredRates& rates);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_MEASURED_RATES_H_

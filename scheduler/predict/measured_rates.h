// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A device of a class that has measured no work of this kind, by what `wattle-worker probe --rates`
// measured of its processor: rows of another class times the ratio of the rate that such work
// needs. That is the memory's for a generation, the product's of low bits for a quantized one, and
// the product's of floats for training and evaluation. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_MEASURED_RATES_H_
#define WATTLE_SCHEDULER_PREDICT_MEASURED_RATES_H_

#include <optional>
#include <string>

#include "scheduler/predict/rate.h"
#include "wattle/v1/device.pb.h"

namespace wattle::scheduler {

class ProfileTable;

// nullopt: the class has measured such work, the device told no rates of it, or no class with rates
// has measured any.
std::optional<RunEstimate> FromMeasuredRates(const ProfileTable& table, const RunQuery& query);

// Why no board of the device's class has these rates, in one line; empty: it may have them.
std::string RateProblemOn(const v1::DeviceInfo& device, const v1::MeasuredRates& rates);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_MEASURED_RATES_H_

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Throughput of the processor and its memory, measured with the engine's own products, and the
// memory that using a GPU takes. Predictions for a board without history are based on these rates
// (scheduler/predict/measured_rates.h). No libtorch.
#ifndef WATTLE_WORKER_ENGINE_RATES_H_
#define WATTLE_WORKER_ENGINE_RATES_H_

#include <string>

#include "absl/status/statusor.h"

#include "wattle/v1/device.pb.h"

namespace wattle::engine {

// Call in a process that has not used the device. Takes a few seconds and 320 MiB. A rate that
// cannot be measured is 0. The caller sets mode, accelerator and time of the measurement. Errors:
// those of CheckDevice (model_job.h); kResourceExhausted if the memory is too small.
absl::StatusOr<v1::MeasuredRates> MeasureRates(const std::string& device);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_RATES_H_

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the processor and its memory do in a second, by the engine's own products, and what memory
// the use of a GPU takes. A prediction for a board that has run nothing stands on them
// (scheduler/predict/measured_rates.h). No libtorch.
#ifndef WATTLE_WORKER_ENGINE_RATES_H_
#define WATTLE_WORKER_ENGINE_RATES_H_

#include <string>

#include "absl/status/statusor.h"

#include "wattle/v1/device.pb.h"

namespace wattle::engine {

// In a process that has not used the device. Takes a few seconds and 320 MiB. A rate that the
// device cannot be asked for is 0. Mode, accelerator and time of the measurement are the caller's
// to set. Errors: as CheckDevice (model_job.h); kResourceExhausted where the memory is too small.
absl::StatusOr<v1::MeasuredRates> MeasureRates(const std::string& device);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_RATES_H_

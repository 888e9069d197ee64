// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/memory/estimate_memory.h"

#include "absl/status/statusor.h"

#include "models/decoder_config.h"
#include "models/memory_estimate.h"

namespace wattle {

PeakMemory EstimateJobMemory(const v1::JobSpec& spec, const v1::ModelShape& shape,
                             const scheduler::DataMemory& data) {
  const absl::StatusOr<models::DecoderConfig> config = models::FromShape(shape);
  if (!config.ok()) {
    return {};
  }
  const absl::StatusOr<models::MemoryEstimate> estimate = models::EstimateMemory(
      *config, scheduler::MemoryWorkloadOf(spec, config->max_positions, data));
  if (!estimate.ok()) {
    return {};
  }
  return {.cores_bytes = estimate->total_bytes(),
          .gpu_bytes = estimate->gpu_bytes,
          .beside_gpu_bytes = estimate->beside_gpu_bytes};
}

}  // namespace wattle

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/memory/estimate_memory.h"

#include "absl/status/statusor.h"

#include "models/decoder_config.h"
#include "models/memory_estimate.h"

namespace wattle {

int64_t EstimateJobMemory(const v1::JobSpec& spec, const v1::ModelShape& shape,
                          const scheduler::DataMemory& data) {
  const absl::StatusOr<models::DecoderConfig> config = models::FromShape(shape);
  if (!config.ok()) {
    return 0;
  }
  const absl::StatusOr<models::MemoryEstimate> estimate = models::EstimateMemory(
      *config, scheduler::MemoryWorkloadOf(spec, config->max_positions, data));
  return estimate.ok() ? estimate->total_bytes() : 0;
}

}  // namespace wattle

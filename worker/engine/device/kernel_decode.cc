// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/kernel_decode.h"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include "base/status_macros.h"
#include "worker/engine/device/cuda/decode_run.h"
#include "worker/engine/device/cuda_capability.h"
#include "worker/engine/device/tile_products.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

void Check(const absl::Status& status) {
  TORCH_CHECK(status.ok(), std::string(status.message()));
}

class KernelDecode final : public DecodeOperator {
 public:
  KernelDecode(DecodeRequest request, const DeviceOperations& operations,
               cuda::KernelLauncher& launcher)
      : model_(*std::move(request.model)),
        cache_{.int8 = request.int8_keys_and_values,
               .slots = static_cast<int>(request.slots),
               .capacity = static_cast<int>(request.capacity_tokens)},
        type_(TileType(CapabilityOf(request.device))),
        memory_(operations.SessionMemory(
            cuda::DecodeRun::MemoryBytes(model_, cache_, type_.has_value()),
            at::TensorOptions(at::kByte).device(request.device))),
        many_(memory_, type_.value_or(at::kFloat)),
        run_(model_, cache_,
             {.memory = static_cast<std::byte*>(memory_.data_ptr()),
              .nf4_tables = request.nf4_tables,
              .many = type_.has_value() ? &many_ : nullptr},
             launcher) {}

  absl::Status Prepare() { return run_.Prepare(); }

  void Run(absl::Span<const kernels::SequenceTokens> sequences, float* logits) override {
    Check(run_.Run(sequences, logits));
  }

  [[nodiscard]] bool chooses() const override { return true; }

  [[nodiscard]] int64_t steps_ahead() const override { return cuda::kStepsAhead; }

  void RunAndChoose(absl::Span<const kernels::SequenceTokens> sequences,
                    const SamplingSettings& sampling, absl::Span<const float> units,
                    absl::Span<int64_t> chosen) override {
    Check(run_.RunAndChoose(
        sequences,
        {.temperature = sampling.temperature, .top_k = sampling.top_k, .top_p = sampling.top_p},
        units, chosen));
  }

  void Clear(int64_t slot) override { run_.Clear(slot); }

 private:
  kernels::DecodeModel model_;
  cuda::DecodeCache cache_;
  std::optional<at::ScalarType> type_;  // of the tiles in a prompt's products; nullopt: no tiles
  at::Tensor memory_;
  TileProducts many_;
  cuda::DecodeRun run_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<DecodeOperator>> MakeKernelDecode(DecodeRequest request,
                                                                 const DeviceOperations& operations,
                                                                 cuda::KernelLauncher& launcher) {
  auto decode = std::make_unique<KernelDecode>(std::move(request), operations, launcher);
  WATTLE_RETURN_IF_ERROR(decode->Prepare());
  return decode;
}

}  // namespace wattle::engine

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.h"
#include "worker/engine/device/cpu/cpu_device.h"
#include "worker/engine/device/decode_operator.h"
#include "worker/engine/kernels/kv_cache.h"
#include "worker/engine/threads.h"

namespace wattle::engine {
namespace {

// Tokens of a prompt in one step: enough for products of many rows, few enough for small buffers.
constexpr int64_t kPromptTokens = 256;

class CpuDecode final : public DecodeOperator {
 public:
  explicit CpuDecode(DecodeRequest request)
      : model_(*std::move(request.model)),
        cache_(
            request.int8_keys_and_values ? kernels::KvFormat::kInt8 : kernels::KvFormat::kFloat32,
            kernels::KvShapesOf(model_), request.slots, request.capacity_tokens, request.memory),
        step_(model_, cache_, KernelThreads(),
              std::max(request.slots, std::min(kPromptTokens, request.capacity_tokens)),
              kernels::BestKernels(), request.memory) {}

  void Run(absl::Span<const kernels::SequenceTokens> sequences, float* logits) override {
    if (sequences.size() > 1) {
      step_.Run(sequences, logits);
      return;
    }
    absl::Span<const int64_t> tokens = sequences.front().tokens;
    while (!tokens.empty()) {
      const auto piece = tokens.subspan(0, static_cast<size_t>(kPromptTokens));
      const kernels::SequenceTokens sequence{.slot = sequences.front().slot, .tokens = piece};
      step_.Run(absl::MakeConstSpan(&sequence, 1), logits);
      tokens.remove_prefix(piece.size());
    }
  }

  void RunAndChoose(absl::Span<const kernels::SequenceTokens> /*sequences*/,
                    const SamplingSettings& /*sampling*/, absl::Span<const float> /*units*/,
                    absl::Span<int64_t> /*chosen*/) override {
    WATTLE_CHECK(chooses(), "the host has the logits, and chooses");
  }

  void Clear(int64_t slot) override { cache_.set_length(slot, 0); }

 private:
  kernels::DecodeModel model_;
  kernels::KvCache cache_;
  kernels::DecodeStep step_;
};

}  // namespace

std::unique_ptr<DecodeOperator> CpuDevice::MakeDecode(DecodeRequest request) const {
  return request.model.ok() ? std::make_unique<CpuDecode>(std::move(request)) : nullptr;
}

}  // namespace wattle::engine

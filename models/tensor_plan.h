// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tensors of one pass through a decoder, or of a session that decodes, in the order in which
// the engine makes them, with the time at which each is released: the memory of a pass, computed
// before the first step. The plan is derived from the model's description; planned_layer.cc and
// planned_pass.cc mirror the engine's block.cc and decoder.cc, planned_decode_step.cc mirrors the
// kernels' decode_step.cc, with tensors that have a size and no content.
// worker/engine/pass_arena_test.cc and generate/decode_plan_test.cc compare them, tensor by tensor.
//
// Weights, gradients and moments outlive a pass and are not in the plan. Pure; thread-safe.
#ifndef WATTLE_MODELS_TENSOR_PLAN_H_
#define WATTLE_MODELS_TENSOR_PLAN_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "models/adapters.h"
#include "models/best_fit.h"
#include "models/decoder_config.h"
#include "wattle/v1/quantization.pb.h"

namespace wattle::models {

struct PlannedTensor {
  const char* name = "";  // for its use; the same tensor of every layer has one name
  std::vector<int64_t> shape;
  int64_t element_bytes = 4;
  // Event numbers within the pass: making and releasing a tensor are one event each.
  int64_t first_use = 0;
  int64_t last_use = 0;
  int64_t offset = 0;  // in the arena

  [[nodiscard]] int64_t size_bytes() const;
};

struct TensorPlan {
  std::vector<PlannedTensor> tensors;  // in the order of first_use
  int64_t peak_bytes = 0;              // maximum of live tensors
  int64_t arena_bytes = 0;  // required size of the region: the peak, and holes that no tensor fills
};

enum class PassKind {
  kTrain,      // forward and backward of one micro-batch
  kEvaluate,   // only the loss
  kCompare,    // loss and divergence, beside a reference model of the same shape
  kCalibrate,  // forward through one layer after the other, with all activations of each
  // A decoding session: keys and values of `batch` slots of `tokens` each, the operator's buffers,
  // or, with plain blocks, a prompt of all tokens but one and that last token.
  kDecode,
};

struct PassDescription {
  PassKind kind = PassKind::kTrain;
  int64_t batch = 1;
  int64_t tokens = 1;                     // of a sequence, padding included
  int64_t predicted = -1;                 // positions that have a loss; -1: every possible one
  bool activation_checkpointing = false;  // for kTrain
  // kTrain: train adapters beside frozen weights; empty: train every weight.
  std::vector<AdapterModule> adapters = {};
  double adapter_dropout = 0.0;
  int64_t trained_layers = 0;  // kTrain without adapters: only the last layers; 0: every weight
  // The form of the weights that the pass reads.
  v1::QuantizationRecipe recipe = {};
  bool bf16_matrices = false;    // matrices that the recipe leaves in FP32 are BF16
  bool rounded_factors = false;  // products round their factors, and read BF16 directly
  int threads = 1;
};

// config: valid. pass: batch, tokens and threads are at least 1.
[[nodiscard]] TensorPlan PlanPass(const DecoderConfig& config, const PassDescription& pass);

// Records tensors as they are made and released.
class PlanRecorder {
 public:
  // A planned tensor: like an at::Tensor, it lives until its last copy is destroyed.
  class Life {
   public:
    Life(PlanRecorder& recorder, size_t index) : recorder_(recorder), index_(index) {}
    ~Life() { recorder_.LetGo(index_); }
    Life(const Life&) = delete;
    Life& operator=(const Life&) = delete;

   private:
    PlanRecorder& recorder_;
    size_t index_;
  };

  // The recorder must outlive the tensor.
  [[nodiscard]] std::shared_ptr<const Life> Make(const char* name, std::vector<int64_t> shape,
                                                 int64_t element_bytes = 4);
  // Every tensor must have been released.
  [[nodiscard]] TensorPlan Finish() &&;

 private:
  void LetGo(size_t index);

  std::vector<PlannedTensor> tensors_;
  int64_t events_ = 0;
  BestFit region_;
};

using Planned = std::shared_ptr<const PlanRecorder::Life>;

}  // namespace wattle::models

#endif  // WATTLE_MODELS_TENSOR_PLAN_H_

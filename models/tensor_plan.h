// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The tensors of one pass through a decoder, or of a session that decodes, in the order in which
// the engine makes them, with the time at which each is let go: how much memory a pass takes, known
// before the first step. The plan is derived from the model's description; planned_layer.cc and
// planned_pass.cc are written like the engine's block.cc and decoder.cc, planned_decode_step.cc
// like the kernels' decode_step.cc, with tensors that have a size and no content, and
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
  const char* name = "";  // of its use; a tensor of every layer has one name
  std::vector<int64_t> shape;
  int64_t element_bytes = 4;
  // Numbers of events of the pass: making a tensor and letting one go are an event each.
  int64_t first_use = 0;
  int64_t last_use = 0;
  int64_t offset = 0;  // in the arena

  [[nodiscard]] int64_t size_bytes() const;
};

struct TensorPlan {
  std::vector<PlannedTensor> tensors;  // in the order of first_use
  int64_t peak_bytes = 0;              // of the tensors that live at once
  int64_t arena_bytes = 0;  // what one region must hold: the peak, and holes that nothing fills
};

enum class PassKind {
  kTrain,      // forward and backward of one micro-batch
  kEvaluate,   // loss alone
  kCompare,    // loss and divergence, beside a reference model of the same shape
  kCalibrate,  // forward through one layer after the other, each with all that it keeps
  // A session that decodes: keys and values of `batch` slots of `tokens` each, the operator's
  // buffers, or with plain blocks a prompt of all tokens but one and that token.
  kDecode,
};

struct PassDescription {
  PassKind kind = PassKind::kTrain;
  int64_t batch = 1;
  int64_t tokens = 1;                     // of a sequence, padding included
  int64_t predicted = -1;                 // positions that have a loss; -1: every one that can
  bool activation_checkpointing = false;  // of kTrain
  // kTrain: adapters are trained beside frozen weights; none: every weight is trained.
  std::vector<AdapterModule> adapters = {};
  double adapter_dropout = 0.0;
  int64_t trained_layers = 0;  // kTrain without adapters: the last layers alone; 0: every weight
  // The form of the weights that the pass reads.
  v1::QuantizationRecipe recipe = {};
  bool bf16_matrices = false;    // matrices that the recipe leaves in FP32 are BF16
  bool rounded_factors = false;  // products round their factors, and read BF16 as it is
  int threads = 1;
};

// config: valid. pass: batch, tokens and threads are at least 1.
[[nodiscard]] TensorPlan PlanPass(const DecoderConfig& config, const PassDescription& pass);

// Notes tensors as they come and go.
class PlanRecorder {
 public:
  // A planned tensor: who holds a copy keeps it alive, as with at::Tensor.
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

  // The recorder outlives the tensor.
  [[nodiscard]] std::shared_ptr<const Life> Make(const char* name, std::vector<int64_t> shape,
                                                 int64_t element_bytes = 4);
  // Every tensor was let go.
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

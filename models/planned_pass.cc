// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// PlanPass: mirrors worker/engine/models/decoder.cc and generate/decode_session.cc.
#include <algorithm>

#include "base/check.h"
#include "models/loss_rows.h"
#include "models/planned_decode_step.h"
#include "models/planned_layer.h"
#include "models/tensor_plan.h"
#include "models/tensors.h"

namespace wattle::models {
namespace {

// Numbers that libtorch briefly stores in tensors, such as the factor of a product with a scalar,
// are not in the plan: four cache lines.
constexpr int64_t kScalarBytes = 256;
constexpr int64_t kIndexBytes = 8;
constexpr int64_t kDoubleBytes = 8;

class PlannedDecoder : public PlannedLayers {
 public:
  PlannedDecoder(const PlannedPass& pass, PlanRecorder& memory) : PlannedLayers(pass, memory) {}

  void LossSumAndGradients() {
    const DecoderConfig& config = pass_.config;
    const bool checkpointing = pass_.pass.activation_checkpointing;
    const Planned tokens = Indices(pass_.rows());
    Planned x = Embed();
    std::vector<PlannedBlockActivations> activations(config.layers.size());
    const size_t lowest = pass_.pass.trained_layers == 0
                              ? 0
                              : activations.size() - static_cast<size_t>(pass_.pass.trained_layers);
    for (size_t i = 0; i < activations.size(); ++i) {
      PlannedBlockActivations* saved = i < lowest ? nullptr : &activations[i];
      if (checkpointing && saved != nullptr) {
        saved->input = x;
        saved = nullptr;
      }
      x = Block(i).Forward(x, saved);
    }
    Planned grad = HeadLossAndGradients();
    for (size_t i = activations.size(); i-- > lowest;) {
      if (checkpointing) {
        const Planned input = activations[i].input;
        Block(i).Forward(input, &activations[i]);
      }
      grad = Block(i).Backward(activations[i], grad);
      activations[i] = {};
    }
    if (pass_.trains_weights() && pass_.pass.trained_layers == 0 && config.learned_positions) {
      Make("position gradient", {pass_.pass.tokens, config.width});
    }
  }

  void LossSum() {
    const Planned x = EmbedTokens();
    const Planned last = RunBlocks(x);
    ForEachLossRows(kLossRows, [&](int64_t rows) {
      const Planned log_probabilities = LogProbabilities(rows);
      NegativeLogLikelihood(rows);
    });
  }

  void CompareWith() {
    const Planned x = Stream();
    const Planned reference_x = Stream();
    const int64_t vocabulary = pass_.config.vocabulary;
    ForEachLossRows(kLossRows, [&](int64_t rows) {
      const Planned log_p = LogProbabilities(rows);
      const Planned log_q = LogProbabilities(rows);
      NegativeLogLikelihood(rows);
      NegativeLogLikelihood(rows);
      {
        const Planned q = Make("probabilities of the reference", {rows, vocabulary});
        const Planned difference = Make("difference of logs", {rows, vocabulary});
        Make("divergences in doubles", {rows, vocabulary}, kDoubleBytes);
      }
      const Planned top = Make("most likely tokens", {rows}, kIndexBytes);
      const Planned top_of_reference = Make("most likely tokens", {rows}, kIndexBytes);
      const Planned same = Make("same tokens", {rows}, 1);
      Make("same tokens counted", {rows}, kIndexBytes);
    });
  }

  // Mirrors how worker/engine/quant/calibrate.cc runs a window through the layers.
  void Calibrate() {
    Planned x = EmbedTokens();
    for (size_t i = 0; i < pass_.config.layers.size(); ++i) {
      PlannedBlockActivations activations;
      x = Block(i).Forward(x, &activations);
    }
  }

  void Decode() {
    const PassDescription& session = pass_.pass;
    const Planned logits = Make("logits of slots", {session.batch, pass_.config.vocabulary});
    if (DecodeOperatorServes(pass_.config)) {
      const std::vector<Planned> buffers = PlanDecodeStep(pass_, memory_);
      return;
    }
    const int64_t cache_bytes =
        KeyValueBytes(pass_.config, session.recipe, session.batch, session.tokens);
    const Planned cache = Make("keys and values", {cache_bytes / kFloatBytes});
    const int64_t prompt = std::max<int64_t>(1, session.tokens - 1);
    Feed(0, prompt);
    if (session.tokens > prompt) {
      Feed(prompt, 1);
    }
  }

 private:
  // Tokens of one sequence after those already in its slot.
  void Feed(int64_t cached, int64_t tokens) {
    PassDescription description = pass_.pass;
    description.batch = 1;
    description.tokens = tokens;
    PlannedPass fed(pass_.config, description);
    fed.cached = cached;
    PlannedDecoder(fed, memory_).LastLogits();
  }

  void LastLogits() {
    const Planned x = RunBlocks(EmbedTokens());
    const Planned hidden = NormForward("head input", 1, pass_.config.width, nullptr);
    const Planned logits = MatrixProduct("logits", Head(), 1);
  }

  [[nodiscard]] PlannedLayer Block(size_t i) { return {pass_, static_cast<int64_t>(i), memory_}; }
  Planned Indices(int64_t count) { return Make("indices", {count}, kIndexBytes); }
  Planned Embed() { return Make("embedded", {pass_.rows(), pass_.config.width}); }

  // The tokens are released at once.
  Planned EmbedTokens() {
    const Planned tokens = Indices(pass_.rows());
    return Embed();
  }

  Planned RunBlocks(Planned x) {
    for (size_t i = 0; i < pass_.config.layers.size(); ++i) {
      x = Block(i).Forward(x, nullptr);
    }
    return x;
  }

  Planned Stream() {
    const Planned x = EmbedTokens();
    return RunBlocks(x);
  }

  template <typename Body>
  void ForEachLossRows(int64_t piece, Body body) {
    const int64_t count = pass_.pass.predicted >= 0 ? pass_.pass.predicted
                                                    : pass_.pass.batch * (pass_.pass.tokens - 1);
    for (int64_t start = 0; start < count; start += piece) {
      const int64_t rows = std::min(piece, count - start);
      const Planned where = Indices(rows);
      const Planned targets = Indices(rows);
      body(rows);
    }
  }

  [[nodiscard]] PlannedMatrix Head() const {
    return {Slot::kHead, -1, pass_.config.vocabulary, pass_.config.width};
  }

  void NegativeLogLikelihood(int64_t rows) {
    const Planned gathered = Make("log-likelihoods", {rows});
    Make("log-likelihoods in doubles", {rows}, kDoubleBytes);
  }

  Planned LogProbabilities(int64_t rows) {
    const int64_t width = pass_.config.width;
    Planned hidden;
    {
      const Planned rows_x = Make("rows with a loss", {rows, width});
      hidden = NormForward("head input", rows, width, nullptr);
    }
    const Planned logits = MatrixProduct("logits", Head(), rows);
    return Make("log-probabilities", {rows, pass_.config.vocabulary});
  }

  Planned HeadLossAndGradients() {
    const DecoderConfig& config = pass_.config;
    Planned grad_x = Make("stream gradient", {pass_.rows(), config.width});
    const int64_t piece =
        LossRowsOfBackward(config.vocabulary, pass_.pass.activation_checkpointing);
    ForEachLossRows(piece, [&](int64_t rows) {
      const Planned rows_x = Make("rows with a loss", {rows, config.width});
      PlannedNormActivations norm;
      const Planned hidden = NormForward("head input", rows, config.width, &norm);
      const Planned logits = MatrixProduct("logits", Head(), rows);
      Planned grad_logits;
      if (config.logit_softcap > 0.0) {
        grad_logits = Make("logits gradient", {rows, config.vocabulary});
        Make("logits gradient times tangent", {rows, config.vocabulary});
      }
      if (pass_.trains_weights() && config.head_bias) {
        Make("head bias gradient", {config.vocabulary});
      }
      const Planned product = TransposedProduct("head input gradient", Head(), rows);
      NormBackward("rows gradient", rows, config.width);
    });
    return grad_x;
  }
};

}  // namespace

TensorPlan PlanPass(const DecoderConfig& config, const PassDescription& description) {
  WATTLE_CHECK(description.batch > 0 && description.tokens > 0 && description.threads > 0,
               "a pass has tokens and threads");
  PlanRecorder memory;
  {
    const PlannedPass pass(config, description);
    PlannedDecoder decoder(pass, memory);
    switch (description.kind) {
      case PassKind::kTrain:
        decoder.LossSumAndGradients();
        break;
      case PassKind::kEvaluate:
        decoder.LossSum();
        break;
      case PassKind::kCompare:
        decoder.CompareWith();
        break;
      case PassKind::kCalibrate:
        decoder.Calibrate();
        break;
      case PassKind::kDecode:
        decoder.Decode();
        break;
    }
  }
  TensorPlan plan = std::move(memory).Finish();
  if (description.kind != PassKind::kDecode) {
    plan.arena_bytes += kScalarBytes;
  }
  return plan;
}

}  // namespace wattle::models

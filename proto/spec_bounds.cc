// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/spec_bounds.h"

#include "proto/field_bounds.h"

namespace wattle {
namespace {

constexpr double kCountMax = 1e12;                 // Steps, examples, prompts, tokens to read.
constexpr double kBatchMax = 4096;                 // Also gradient accumulation steps.
constexpr double kTokensMax = 1 << 24;             // In a sequence, or newly generated.
constexpr double kMeanTokensMax = 1e9;             // Of a declared data set's examples.
constexpr double kSecondsMax = 366.0 * 24 * 3600;  // A year.

constexpr FieldBound kBounds[] = {
    {"deadline_seconds", 0, kSecondsMax},
    {"timeout_seconds", 0, kSecondsMax},
    {"lease_seconds", 0, kSecondsMax},
    {"priority", -100, 100},
    {"retries", 0, 10},

    {"quality_floor.perplexity_change_percent_max", 0, 1000},
    {"quality_floor.kl_divergence_max", 0, 100},
    {"quality_floor.top1_agreement_percent_min", 0, 100},

    {"finetune.data_shape.examples", 1, kCountMax},
    {"finetune.data_shape.mean_tokens_per_example", 0, kMeanTokensMax},
    {"finetune.epochs", 0, 100'000},
    {"finetune.steps", 0, kCountMax},
    {"finetune.limit_examples", 0, kCountMax},
    {"finetune.batch_size", 0, kBatchMax},
    {"finetune.gradient_accumulation_steps", 0, kBatchMax},
    {"finetune.sequence_length", 0, kTokensMax},
    {"finetune.learning_rate", 0, 10},
    {"finetune.warmup_steps", 0, kCountMax},
    {"finetune.weight_decay", 0, 10},
    {"finetune.clip_norm", -1e9, 1e9},
    {"finetune.adam_beta1", 0, 0.999999},
    {"finetune.adam_beta2", 0, 0.9999999},
    {"finetune.adam_epsilon", 0, 1},
    {"finetune.evaluate_every_steps", 0, kCountMax},
    {"finetune.checkpoint_every_steps", 0, kCountMax},
    {"finetune.last_layers", 0, 1000},
    {"finetune.early_stop_evaluations", 0, 10'000},
    {"finetune.mezo.perturbation", 0, 1},
    {"finetune.mezo.samples", 0, 64},
    {"finetune.lora.rank", 0, 1024},
    {"finetune.lora.alpha", 0, 1e6},
    {"finetune.lora.dropout", 0, 0.999},

    {"quantize.calibration_tokens", 0, kCountMax},
    {"quantize.size_budget_bytes", 0, 1e15},
    {"quantize.perplexity_change_percent_max", 0, 1000},

    {"generate.prompt_count", 0, kCountMax},
    {"generate.max_new_tokens", 0, kTokensMax},
    {"generate.temperature", 0, 100},
    {"generate.top_k", 0, 1 << 24},
    {"generate.top_p", 0, 1},
    {"generate.repetition_penalty", 0, 100},
    {"generate.batch_size", 0, 1024},

    {"evaluate.data_shape.examples", 1, kCountMax},
    {"evaluate.data_shape.mean_tokens_per_example", 0, kMeanTokensMax},
    {"evaluate.limit_examples", 0, kCountMax},
    {"evaluate.batch_size", 0, kBatchMax},
    {"evaluate.sequence_length", 0, kTokensMax},
    {"evaluate.max_answer_tokens", 0, 4096},
};

}  // namespace

absl::Status CheckSpecBounds(const v1::JobSpec& spec) {
  return CheckBounds(spec, "", kBounds);
}

}  // namespace wattle

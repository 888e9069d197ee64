// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// From the task on the wire to the engine's settings: defaults as written in
// proto/wattle/v1/spec.proto, and a refusal of what this version does not honour. Pure, but that
// prompts are read from their file.
#ifndef WATTLE_WORKER_RUNNER_TASK_SETTINGS_H_
#define WATTLE_WORKER_RUNNER_TASK_SETTINGS_H_

#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "wattle/v1/runner.pb.h"
#include "worker/engine/evaluate/evaluate.h"
#include "worker/engine/generate/generate.h"
#include "worker/engine/quant/quantize.h"
#include "worker/engine/train/finetune.h"

namespace wattle::runner {

using JobSettings = std::variant<engine::FinetuneSettings, engine::QuantizeSettings,
                                 engine::GenerateSettings, engine::EvaluateSettings>;

// Errors: kFailedPrecondition for a spec that cannot be run, naming the field; those of
// ReadPrompts.
absl::StatusOr<JobSettings> SettingsOf(const v1::RunnerTask& task);

}  // namespace wattle::runner

#endif  // WATTLE_WORKER_RUNNER_TASK_SETTINGS_H_

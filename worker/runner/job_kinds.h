// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The runner's part of each kind of job (proto/job_kind.h): from the task on the wire to the
// engine's settings, its run, and the files of its result. Settings have the defaults documented in
// proto/wattle/v1/spec.proto; fields that this version does not support are refused.
#ifndef WATTLE_WORKER_RUNNER_JOB_KINDS_H_
#define WATTLE_WORKER_RUNNER_JOB_KINDS_H_

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "wattle/v1/runner.pb.h"
#include "wattle/v1/spec.pb.h"
#include "worker/engine/generate/generate.h"
#include "worker/engine/progress.h"
#include "worker/engine/train/finetune.h"

namespace wattle::runner {

struct KindPart {
  v1::JobSpec::KindCase kind_case = v1::JobSpec::KIND_NOT_SET;
  // RunJob for this kind. REQUIRES: the task has a model's directory.
  absl::StatusOr<v1::RunnerResult> (*run)(const v1::RunnerTask& task,
                                          engine::ProgressSink& sink) = nullptr;
};

absl::Span<const KindPart> KindParts();

// Runs the job and writes its result files; without a directory for them nothing is written, which
// a quantize job refuses. Errors: kFailedPrecondition, with the field, for a spec that cannot be
// run; those of formats::ReadPrompts and of the engine.
absl::StatusOr<v1::RunnerResult> RunJob(const v1::RunnerTask& task, engine::ProgressSink& sink);

// Pure, except that prompts are read from their file. Errors: those of RunJob for a spec.
absl::StatusOr<engine::FinetuneSettings> FinetuneSettingsOf(const v1::RunnerTask& task);
absl::StatusOr<engine::GenerateSettings> GenerateSettingsOf(const v1::RunnerTask& task);

}  // namespace wattle::runner

#endif  // WATTLE_WORKER_RUNNER_JOB_KINDS_H_

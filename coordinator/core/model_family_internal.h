// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A model and those quantized from it: which of them a job with a quality floor may run, and what
// finished jobs tell of their quality. Private to coordinator/core. Pure.
#ifndef WATTLE_COORDINATOR_CORE_MODEL_FAMILY_INTERNAL_H_
#define WATTLE_COORDINATOR_CORE_MODEL_FAMILY_INTERNAL_H_

#include <string>
#include <vector>

#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/planning.h"
#include "coordinator/core/state.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

// What the job's data take of a runner's memory.
scheduler::DataMemory DataMemoryOf(const State& state, const v1::JobSpec& spec,
                                   const std::vector<scheduler::InputView>& views);

// The models that the job may run: those that its floor names, else the model and all that were
// quantized from it, the model first. Empty for a job without a floor.
std::vector<scheduler::ModelView> FamilyOf(const State& state, const PlanningInputs& inputs,
                                           const v1::JobSpec& spec,
                                           const std::vector<scheduler::InputView>& views);

// The job as the model's files make it: a generate or evaluate job that asks for no quantization
// gets the model's own recipe. Unchanged where the artifact does not tell its recipe, which then
// counts as FP32, the largest that it can be.
v1::JobSpec WithRecipe(v1::JobSpec spec, const v1::ArtifactInfo& model);

// What is wrong with the models of a floor, whatever the device: the model is quantized itself, or
// none can meet the floor. Empty: nothing.
std::string WhyNoFamily(const v1::JobSpec& spec, const std::vector<scheduler::ModelView>& models);

// The model that the job's output is: what a quantized one was made from, and the chat template,
// which training and quantization leave as it is.
void SetParent(const State& state, v1::ArtifactInfo& output);

// Bits, bytes and quality that the finished job tells of a quantized model: of its output, or of
// the model that it compared with its parent.
void RecordMeasurement(DecisionBuilder& builder, const v1::Job& job, const v1::Receipt& receipt,
                       const std::string& output_artifact_id);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_MODEL_FAMILY_INTERNAL_H_

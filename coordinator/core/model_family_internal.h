// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A model and the models quantized from it: which of them a job with a quality floor may run, and
// what finished jobs report about their quality. Private to coordinator/core. Pure.
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

// Memory that the job's data need in a runner.
scheduler::DataMemory DataMemoryOf(const State& state, const v1::JobSpec& spec,
                                   const std::vector<scheduler::InputView>& views);

// The models that the job may run: those that its floor names, else the model followed by all that
// were quantized from it. Empty for a job without a floor.
std::vector<scheduler::ModelView> FamilyOf(const State& state, const PlanningInputs& inputs,
                                           const v1::JobSpec& spec,
                                           const std::vector<scheduler::InputView>& views);

// The job with the recipe of the model's files: a generate or evaluate job that asks for no
// quantization gets the model's own recipe. Unchanged if the artifact lacks its recipe, which then
// counts as FP32, the largest possible.
v1::JobSpec WithRecipe(v1::JobSpec spec, const v1::ArtifactInfo& model);

// What is wrong with the models of a floor on any device: the model is quantized itself, or none
// can meet the floor. Empty: nothing.
std::string WhyNoFamily(const v1::JobSpec& spec, const std::vector<scheduler::ModelView>& models);

// Copies facts of the job's input model to its output: the parent of a quantized model, and the
// chat template, which training and quantization do not change.
void SetParent(const State& state, v1::ArtifactInfo& output);

// Records bits, bytes and quality that the finished job measured of a quantized model: its output,
// or the model that it compared with its parent.
void RecordMeasurement(DecisionBuilder& builder, const v1::Job& job, const v1::Receipt& receipt,
                       const std::string& output_artifact_id);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_MODEL_FAMILY_INTERNAL_H_

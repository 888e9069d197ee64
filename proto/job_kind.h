// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kinds of jobs: a table of what generic code must know of each. A new kind is a section of
// JobSpec (spec.proto), a row here, and its own work in five places: its checks
// (coordinator/core/validate_spec.cc), its bounds (proto/spec_bounds.cc), its amount of work
// (scheduler/predict/work.cc), its memory (coordinator/estimate_memory.cc) and its settings
// (worker/runner/task_settings.cc). Thread-safe.
#ifndef WATTLE_PROTO_JOB_KIND_H_
#define WATTLE_PROTO_JOB_KIND_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle {

// Each kind has an input of this name: the model that the job works on.
inline constexpr absl::string_view kModelInput = "model";

// A field of the kind's section that names an artifact.
struct JobInput {
  absl::string_view field;  // "model", "heldout_data"; also in ResolvedInput.field.
  bool is_model = false;    // Otherwise a data set.
};

struct JobKind {
  v1::JobSpec::KindCase kind_case = v1::JobSpec::KIND_NOT_SET;
  absl::string_view name;             // The section in job files: "finetune".
  absl::string_view main_phase = {};  // The phase of the job's own work: "train".
  bool makes_model = false;  // The result is a model. Without result files the job has failed.
  bool keeps_checkpoints = false;    // The run is resumed from its checkpoints.
  bool takes_quality_floor = false;  // JobSpec.quality_floor lets the planner choose the model.
  absl::Span<const absl::string_view> data_formats = {};  // As in DatasetStatistics.format.
  v1::WorkUnit unit = v1::WORK_UNIT_UNSPECIFIED;          // Of a run on real data.
  absl::Span<const JobInput> inputs = {};     // In the order in which a spec lists them.
  absl::Span<const v1::Method> methods = {};  // The plain one first.
};

absl::Span<const JobKind> JobKinds();

// The row of the spec's kind. A row without name, inputs and methods if the spec has no kind.
const JobKind& KindOf(const v1::JobSpec& spec);
// The row of the kind that works by `method`; the same empty row if there is none.
const JobKind& KindOf(v1::Method method);

// The formats that a spec's data sets may have, and what asks for them: the kind ("finetune"), or a
// field that narrows the kind's formats ("evaluate.score_answers").
struct WantedData {
  absl::string_view asked_by;
  absl::Span<const absl::string_view> formats;
};
WantedData WantedDataOf(const v1::JobSpec& spec);

// Whether an input of this name is a model, in the kinds that have one; otherwise it is a data set.
bool IsModelInput(absl::string_view field);

// "finetune, quantize, generate, evaluate"
std::string JobKindNames();

// The reference to an artifact in the field of the spec's section; empty: none is given, or the
// section has no such field.
const std::string& ReferenceIn(const v1::JobSpec& spec, absl::string_view field);

// The shape that stands in the spec instead of a model, and the one instead of data; null: the spec
// names files, or nothing.
const v1::ModelShape* DeclaredModel(const v1::JobSpec& spec);
const v1::DataShape* DeclaredData(const v1::JobSpec& spec);

}  // namespace wattle

#endif  // WATTLE_PROTO_JOB_KIND_H_

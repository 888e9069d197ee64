// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The kinds of jobs: a table of the properties that generic code needs. A new kind is a section of
// JobSpec (spec.proto), its methods (profile.proto), a row here, and a part in each layer with
// kind-specific code: the scheduler's (scheduler/predict/job_kinds.cc: amount of work, cost of a
// method, memory), the coordinator's (coordinator/core/job_kinds.cc: checks, leaner forms) and the
// runner's (worker/runner/job_kinds.cc: settings, run, result files). No other code branches on a
// kind. JobKindsWithout tells each layer's test which part is missing. Thread-safe.
//
// A profile job wraps the section of another kind. Its runs are jobs of that kind (ProfileRunOf),
// so it has a part only in the coordinator, which chooses the runs.
#ifndef WATTLE_PROTO_JOB_KIND_H_
#define WATTLE_PROTO_JOB_KIND_H_

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "proto/field_bounds.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/quantization.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle {

// Each kind has an input of this name: the model that the job works on.
inline constexpr absl::string_view kModelInput = "model";

// A field of the kind's section that names an artifact.
struct JobInput {
  absl::string_view field;  // "model", "heldout_data"; also in ResolvedInput.field.
  bool is_model = false;    // False for a data set.
};

struct JobKind {
  v1::JobSpec::KindCase kind_case = v1::JobSpec::KIND_NOT_SET;
  absl::string_view name;             // The section in job files: "finetune".
  absl::string_view main_phase = {};  // The phase of the job's own work: "train".
  bool makes_model = false;        // The result is a model. A run without result files has failed.
  bool quantizes_model = false;    // The result is the input model in another form.
  bool keeps_checkpoints = false;  // The run can be resumed from its checkpoints.
  bool takes_quality_floor = false;  // JobSpec.quality_floor lets the planner choose the model.
  bool wraps_workload = false;       // The section contains the section of another kind (profile).
  // Changes the spec to a run with the point's batch and steps, without evaluations and
  // checkpoints. Null: no profile job can wrap the kind.
  void (*shorten)(const v1::ProfilePoint& point, v1::JobSpec& spec) = nullptr;
  absl::Span<const absl::string_view> data_formats = {};  // See DatasetStatistics.format.
  v1::WorkUnit unit = v1::WORK_UNIT_UNSPECIFIED;          // Unit of a run on real data.
  absl::Span<const JobInput> inputs = {};     // In the order in which a spec lists them.
  absl::Span<const v1::Method> methods = {};  // The plain one first.
  absl::Span<const FieldBound> bounds = {};   // Bounds of the section's numbers
                                              // (proto/spec_bounds.h).
  // The first spec revision with the kind (proto/spec_revision.h); 0: every worker has it.
  int32_t spec_revision = 0;
  // Under `work` in an emulated board's file (deploy/emulated): the rate of a run, and that of a
  // run with `quantization: int8`; empty: the same.
  absl::string_view emulated_rate = {};
  absl::string_view emulated_rate_int8 = {};
};

absl::Span<const JobKind> JobKinds();

// The row of the spec's kind. A row without name, inputs and methods if the spec has no kind.
const JobKind& KindOf(const v1::JobSpec& spec);
// The row of the kind that works by `method`; the same empty row if there is none.
const JobKind& KindOf(v1::Method method);

// The job of the workload that a profile job wraps, with all other fields of the spec; without a
// kind if it wraps none. Any other spec is returned unchanged.
v1::JobSpec WorkloadOf(const v1::JobSpec& spec);
// The job of one run of a profile job.
v1::JobSpec ProfileRunOf(const v1::JobSpec& spec, const v1::ProfilePoint& point);

// The row of the kind in `parts`, a layer's table, whose rows have a kind_case; null: none.
template <typename Part>
const Part* PartOfKind(v1::JobSpec::KindCase kind, absl::Span<const Part> parts);

// The names of the kinds without a row in `parts`; "": every kind has one. Kinds that wrap another
// kind's workload need none.
template <typename Part>
std::string JobKindsWithout(absl::Span<const Part> parts,
                            absl::Span<const JobKind> kinds = JobKinds());

// The formats that a spec's data sets may have, and the origin of this restriction: the kind
// ("finetune"), or a field that narrows the kind's formats ("evaluate.score_answers").
struct WantedData {
  absl::string_view asked_by;
  absl::Span<const absl::string_view> formats;
};
WantedData WantedDataOf(const v1::JobSpec& spec);

// Whether an input of this name is a model, in the kinds that have one; otherwise it is a data set.
bool IsModelInput(absl::string_view field);

// "finetune, quantize, generate, evaluate, profile"
std::string JobKindNames();

// The reference to an artifact in the field of the spec's section; empty: unset, or the section has
// no such field.
const std::string& ReferenceIn(const v1::JobSpec& spec, absl::string_view field);

// The shapes that replace the model and the data in a spec; null: the spec names files, or nothing.
const v1::ModelShape* DeclaredModel(const v1::JobSpec& spec);
const v1::DataShape* DeclaredData(const v1::JobSpec& spec);

// The integer in the field of the spec's section; 0: the section has no such field.
int64_t IntegerIn(const v1::JobSpec& spec, absl::string_view field);

// Precision of the factors of matrix products; unspecified: the section has no such field.
v1::Precision PrecisionIn(const v1::JobSpec& spec);

// The form of weights requested in the section: `quantization`, or `recipe` (null: none).
v1::Quantization QuantizationIn(const v1::JobSpec& spec);
const v1::QuantizationRecipe* RecipeIn(const v1::JobSpec& spec);
// Whether the section requests a form; otherwise the form of the model's files is used.
bool NamesQuantization(const v1::JobSpec& spec);
// REQUIRES: the section has a recipe.
void SetRecipe(const v1::QuantizationRecipe& recipe, v1::JobSpec& spec);

template <typename Part>
const Part* PartOfKind(v1::JobSpec::KindCase kind, absl::Span<const Part> parts) {
  for (const Part& part : parts) {
    if (part.kind_case == kind) {
      return &part;
    }
  }
  return nullptr;
}

template <typename Part>
std::string JobKindsWithout(absl::Span<const Part> parts, absl::Span<const JobKind> kinds) {
  std::string missing;
  for (const JobKind& kind : kinds) {
    if (!kind.wraps_workload && PartOfKind(kind.kind_case, parts) == nullptr) {
      absl::StrAppend(&missing, missing.empty() ? "" : ", ", kind.name);
    }
  }
  return missing;
}

}  // namespace wattle

#endif  // WATTLE_PROTO_JOB_KIND_H_

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Revisions of what a job may ask for. An older worker skips a field that it does not know, and
// would run another job than the one that was asked for. So a worker tells the newest revision that
// it understands (DeviceInfo.spec_revision), and the planner gives it no job that needs a newer
// one. To add a field or a value to spec.proto: its row in the table of spec_revision.cc, under
// kSpecRevision, which becomes one more where a worker with the present number was released. A kind
// of job has its revision in its own row (proto/job_kind.h), and so has a family of models
// (model_shape.cc). Pure; thread-safe.
#ifndef WATTLE_PROTO_SPEC_REVISION_H_
#define WATTLE_PROTO_SPEC_REVISION_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle {

// The newest revision. Workers of before the revisions tell 0.
inline constexpr int32_t kSpecRevision = 2;

// The first at which a GPU trains weights_precision: bf16. Older workers have the field, and train
// such weights on their cores alone, so no row of the table tells them apart.
inline constexpr int32_t kRevisionOfBf16WeightsOnGpus = 2;

enum class SpecPart {
  kField,        // A field that is set: "finetune.lora". Or one value of an older field:
                 // "quantize.quantization: int4".
  kDataFormat,   // Of an input, as in DatasetStatistics.format.
  kModelFamily,  // Of an input, as in ModelShape.architecture.
};

struct SpecFeature {
  SpecPart part = SpecPart::kField;
  absl::string_view name;
  int32_t revision = 0;  // The first that has it.
};

// What the first spec did not have.
absl::Span<const SpecFeature> SpecFeatures();

// The first row of the table that the spec, or an input, needs and that a worker of `revision` does
// not know, in words: "finetune.lora", "conversations as data", "models of the family llama".
// Empty: the worker understands it.
std::string UnknownToWorker(const v1::JobSpec& spec, int32_t revision);
std::string UnknownToWorker(const v1::ArtifactInfo& input, int32_t revision);

}  // namespace wattle

#endif  // WATTLE_PROTO_SPEC_REVISION_H_

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Revisions of the job spec. An older worker ignores unknown fields, and would run a different job
// than requested. Each worker therefore reports the newest revision that it supports
// (DeviceInfo.spec_revision), and the planner gives it no job that needs a newer one. To add a
// field or a value to spec.proto: its row in the table of spec_revision.cc, under kSpecRevision,
// which is incremented if a worker with the present number was released. A kind of job has its
// revision in its own row (proto/job_kind.h), and so has a family of models (model_shape.cc). Pure;
// thread-safe.
#ifndef WATTLE_PROTO_SPEC_REVISION_H_
#define WATTLE_PROTO_SPEC_REVISION_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle {

// The newest revision. Workers older than revisions report 0.
inline constexpr int32_t kSpecRevision = 2;

// The first revision at which a GPU trains weights_precision: bf16. Older workers have the field
// and train such weights only on their cores, so no row of the table distinguishes them.
inline constexpr int32_t kRevisionOfBf16WeightsOnGpus = 2;

enum class SpecPart {
  kField,        // A set field, "finetune.lora", or one value of an older field,
                 // "quantize.quantization: int4".
  kDataFormat,   // Format of an input, see DatasetStatistics.format.
  kModelFamily,  // Family of an input, see ModelShape.architecture.
};

struct SpecFeature {
  SpecPart part = SpecPart::kField;
  absl::string_view name;
  int32_t revision = 0;  // The first revision with the feature.
};

// The features that the first revision did not have.
absl::Span<const SpecFeature> SpecFeatures();

// The first feature in the table that the spec or an input needs and that a worker of `revision`
// lacks, in words: "finetune.lora", "conversations as data", "models of the family llama". Empty:
// the worker supports the spec.
std::string UnknownToWorker(const v1::JobSpec& spec, int32_t revision);
std::string UnknownToWorker(const v1::ArtifactInfo& input, int32_t revision);

}  // namespace wattle

#endif  // WATTLE_PROTO_SPEC_REVISION_H_

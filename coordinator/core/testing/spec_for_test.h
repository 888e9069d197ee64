// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Specs for tests of the core: a small model, its data, and the job that trains it.
#ifndef WATTLE_COORDINATOR_CORE_TESTING_SPEC_FOR_TEST_H_
#define WATTLE_COORDINATOR_CORE_TESTING_SPEC_FOR_TEST_H_

#include <cstdint>

#include "wattle/v1/artifact.pb.h"
#include "wattle/v1/profile.pb.h"
#include "wattle/v1/spec.pb.h"

namespace wattle::core {

inline v1::ModelShape Shape() {
  v1::ModelShape shape;
  shape.set_architecture("gpt2");
  shape.set_layers(2);
  shape.set_width(64);
  shape.set_heads(2);
  shape.set_vocabulary_size(512);
  shape.set_context_length(128);
  return shape;
}

inline v1::ArtifactInfo TinyModel() {
  v1::ArtifactInfo model;
  model.set_artifact_id("aabbccdd11");
  model.set_name("tiny");
  model.set_kind(v1::ARTIFACT_KIND_MODEL);
  model.set_parameter_count(100'000);
  *model.mutable_model_shape() = Shape();
  return model;
}

inline v1::ArtifactInfo Questions(int64_t examples) {
  v1::ArtifactInfo data;
  data.set_artifact_id("aabbccdd22");
  data.set_name("questions");
  data.set_kind(v1::ARTIFACT_KIND_DATASET);
  data.mutable_dataset()->set_format("squad");
  data.mutable_dataset()->set_examples(examples);
  data.mutable_dataset()->set_mean_byte_length(300);
  return data;
}

inline v1::JobSpec Finetune() {
  v1::JobSpec spec;
  spec.mutable_finetune()->set_model("tiny");
  spec.mutable_finetune()->set_data("questions");
  spec.mutable_finetune()->set_epochs(1);
  spec.mutable_finetune()->set_batch_size(4);
  return spec;
}

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_TESTING_SPEC_FOR_TEST_H_

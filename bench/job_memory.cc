// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Prints the peak memory in bytes that the planner predicts for a job on a model directory and data
// files, computed from their artifacts like in the coordinator. bench/memory.py compares it with
// the runner's memory.
// Usage: wattle-job-memory MODEL_DIRECTORY SPEC [BYTES_PER_TOKEN DATA [HELDOUT_DATA]]: SPEC is a
// JobSpec as JSON, and BYTES_PER_TOKEN the coordinator's learned value for the model's tokenizer.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <google/protobuf/util/json_util.h>

#include "coordinator/memory/estimate_memory.h"
#include "formats/data_set.h"
#include "models/model_directory.h"
#include "proto/job_kind.h"
#include "scheduler/predict/data_memory.h"
#include "wattle/v1/spec.pb.h"

namespace {

using wattle::scheduler::InputView;

constexpr int kSpec = 2;
constexpr int kBytesPerToken = 3;
constexpr int kData = 4;
constexpr int kHeldoutData = 5;

// The data file as `wattle data push` describes it.
absl::StatusOr<InputView> DataOf(const char* field, const char* path) {
  const auto statistics = wattle::formats::DescribeDataSet(path);
  if (!statistics.ok()) {
    return statistics.status();
  }
  InputView data{.field = field, .artifact = {}};
  data.artifact.set_size_bytes(static_cast<int64_t>(std::filesystem::file_size(path)));
  *data.artifact.mutable_dataset() = *statistics;
  return data;
}

// Like the coordinator: a job without a format uses that of the model's files.
template <typename Spec>
void TakeStoredForm(const wattle::models::ModelDirectory& model, Spec* spec) {
  if (!spec->has_recipe() && spec->quantization() == wattle::v1::QUANTIZATION_UNSPECIFIED) {
    *spec->mutable_recipe() = model.stored_recipe;
  }
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "wattle-job-memory: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc <= kSpec || argc == kData || argc > kHeldoutData + 1) {
    std::fprintf(stderr,
                 "usage: wattle-job-memory MODEL_DIRECTORY SPEC [BYTES_PER_TOKEN DATA "
                 "[HELDOUT_DATA]]\n");
    return 2;
  }
  const auto model = wattle::models::InspectModelDirectory(argv[1]);
  if (!model.ok()) {
    return Fail(model.status());
  }
  wattle::v1::JobSpec spec;
  const auto parsed = google::protobuf::util::JsonStringToMessage(argv[kSpec], &spec);
  if (!parsed.ok()) {
    std::fprintf(stderr, "wattle-job-memory: %s\n", parsed.ToString().c_str());
    return 2;
  }
  if (spec.has_generate()) {
    TakeStoredForm(*model, spec.mutable_generate());
  } else if (spec.has_evaluate()) {
    TakeStoredForm(*model, spec.mutable_evaluate());
  }
  std::vector<InputView> inputs(1);
  inputs.front().field = std::string(wattle::kModelInput);
  *inputs.front().artifact.mutable_model_shape() = model->shape();
  for (int i = kData; i < argc; ++i) {
    const auto data = DataOf(i == kData ? "data" : "heldout_data", argv[i]);
    if (!data.ok()) {
      return Fail(data.status());
    }
    inputs.push_back(*data);
  }
  const double bytes_per_token = argc > kData ? std::atof(argv[kBytesPerToken]) : 1.0;
  const auto data = wattle::scheduler::DataMemoryOf(spec, inputs, bytes_per_token);
  std::printf("%lld\n", static_cast<long long>(
                            wattle::EstimateJobMemory(spec, model->shape(), data).cores_bytes));
  return 0;
}

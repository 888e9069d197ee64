// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Prints the peak memory in bytes that the planner expects of a job on a model directory, as the
// coordinator computes it. bench/memory.py compares it with what the runner takes.
// Usage: wattle-job-memory MODEL_DIRECTORY SPEC, where SPEC is a JobSpec as JSON
#include <cstdio>
#include <string>

#include <google/protobuf/util/json_util.h>

#include "coordinator/estimate_memory.h"
#include "models/model_directory.h"
#include "wattle/v1/spec.pb.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: wattle-job-memory MODEL_DIRECTORY SPEC\n");
    return 2;
  }
  const auto model = wattle::models::InspectModelDirectory(argv[1]);
  if (!model.ok()) {
    std::fprintf(stderr, "wattle-job-memory: %s\n", std::string(model.status().message()).c_str());
    return 1;
  }
  wattle::v1::JobSpec spec;
  const auto parsed = google::protobuf::util::JsonStringToMessage(argv[2], &spec);
  if (!parsed.ok()) {
    std::fprintf(stderr, "wattle-job-memory: %s\n", parsed.ToString().c_str());
    return 2;
  }
  std::printf("%lld\n", static_cast<long long>(wattle::EstimateJobMemory(spec, model->shape())));
  return 0;
}

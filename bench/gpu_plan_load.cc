// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-gpu-plan MODEL FORMAT: runs one token of a model with random weights through the CUDA
// kernels on the host, and prints the reads, launches, waits and copies, for ./dev bench gpu-plan.
// A layer's share is the difference between a model with one layer and one without.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "base/check.h"
#include "bench/gpu_models.h"
#include "worker/engine/device/cuda/decode_run.h"
#include "worker/engine/device/cuda/testing/host_launcher.h"
#include "worker/engine/kernels/nf4_double.h"
#include "worker/engine/kernels/testing/test_decoder.h"

namespace wattle {
namespace {

constexpr int kCapacity = 16;

struct Format {
  const char* name;
  kernels::WeightFormat format;
};

constexpr Format kFormats[] = {
    {"fp32", {kernels::WeightScheme::kFloat32, 0}},
    {"fp16", {kernels::WeightScheme::kFloat16, 0}},
    {"bf16", {kernels::WeightScheme::kBf16, 0}},
    {"int8", {kernels::WeightScheme::kInt8, 0}},
    {"int8-g32", {kernels::WeightScheme::kInt8Grouped, 32}},
    {"int6-g16", {kernels::WeightScheme::kInt6, 16}},
    {"int4-g32", {kernels::WeightScheme::kInt4, 32}},
    {"int4-g64", {kernels::WeightScheme::kInt4, 64}},
    {"int4a-g64", {kernels::WeightScheme::kInt4Asymmetric, 64}},
    {"nf4-g64", {kernels::WeightScheme::kNf4, 64}},
    {"nf4dq-g64", {kernels::WeightScheme::kNf4DoubleQuantized, 64}},
};

struct Counts {
  int64_t read = 0;
  int64_t packed = 0;
  int64_t launches = 0;
  int64_t waits = 0;
  int64_t host_bytes = 0;  // to the device or from it, the larger of both
};

// Counts for one token as in a job: rows to the device, embedding, layers, norm, head, the choice
// by temperature, top-k and top-p, which has more launches than the most likely token, and the
// token to the host.
Counts CountsOf(kernels::DecoderSizes sizes, int64_t layers, kernels::WeightFormat format) {
  sizes.layers = layers;
  sizes.positions = kCapacity;
  const kernels::RandomDecoder decoder(sizes, {.blocks = format, .head = format}, 1);
  WATTLE_CHECK(cuda::CheckModel(decoder.model).ok(), "the kernels serve the models of the bench");
  const cuda::DecodeCache cache = {.capacity = kCapacity};
  kernels::AlignedBuffer memory(cuda::DecodeRun::MemoryBytes(decoder.model, cache));
  std::vector<float> tables(kernels::Nf4Values().begin(), kernels::Nf4Values().end());
  tables.insert(tables.end(), kernels::DynamicMap().begin(), kernels::DynamicMap().end());
  cuda::HostLauncher launcher(1);
  cuda::DecodeRun run(decoder.model, cache, {.memory = memory.data(), .nf4_tables = tables.data()},
                      launcher);
  const int64_t token = 7;
  const kernels::SequenceTokens sequence = {.slot = 0, .tokens = absl::MakeConstSpan(&token, 1)};
  const float unit = 0.5F;
  int64_t chosen = 0;
  const absl::Status status = run.RunAndChoose(
      absl::MakeConstSpan(&sequence, 1), {.temperature = 0.8, .top_k = 40, .top_p = 0.95},
      absl::MakeConstSpan(&unit, 1), absl::MakeSpan(&chosen, 1));
  WATTLE_CHECK(status.ok(), "the kernels run");
  return {.read = launcher.weight_bytes(),
          .packed = decoder.weight_bytes(),
          .launches = launcher.launches(),
          .waits = launcher.waits(),
          .host_bytes = std::max(launcher.uploaded_bytes(), launcher.downloaded_bytes())};
}

int Main(const std::string& model_name, const std::string& format_name) {
  for (const GpuModel& model : kGpuModels) {
    for (const Format& format : kFormats) {
      if (model.name != model_name || format.name != format_name) {
        continue;
      }
      const Counts rest = CountsOf(model.sizes, 0, format.format);
      const Counts one = CountsOf(model.sizes, 1, format.format);
      const int64_t layers = model.sizes.layers;
      const auto all = [&](int64_t of_rest, int64_t of_one) {
        return static_cast<long long>(of_rest + layers * (of_one - of_rest));
      };
      std::printf("%lld %lld %lld %lld %lld %lld\n", all(rest.read, one.read),
                  all(rest.packed, one.packed), all(rest.launches, one.launches),
                  all(rest.waits, one.waits), all(rest.host_bytes, one.host_bytes),
                  static_cast<long long>(layers));
      return 0;
    }
  }
  std::fprintf(stderr, "wattle-gpu-plan: no model \"%s\" with format \"%s\"\n", model_name.c_str(),
               format_name.c_str());
  return 2;
}

}  // namespace
}  // namespace wattle

int main(int argc, char** argv) {
  return argc == 3 ? wattle::Main(argv[1], argv[2]) : 2;
}

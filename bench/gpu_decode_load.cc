// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-gpu-decode MODEL FORMAT: decodes on the GPU with random weights of a model's shapes, and
// prints one line of JSON: tokens a second, bytes that a token reads, the GPU's own read bandwidth,
// and the error of logits against the CPU's operator. bench/gpu_exam.py reads the line. Layers
// repeat two random ones, each in its own memory on the GPU, so that a large model is made in
// seconds and no layer is read from a cache. Without a GPU the program exits with 3.
//
// "early": whether a graph's kernels began while the one before ended (cuda/driver.h); "…_in_turn"
// is the same token with kernels that begin one after the other, and "early_error" compares the
// logits of both, which must be equal to the last bit.
//
// "kernels" has the microseconds of a launch of each kernel and shape: the time of a token whose
// graph has only these launches, less that of a token that only chooses. Layers have separate
// matrices there too.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <memory_resource>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include <ATen/ops/from_blob.h>

#include "base/status_macros.h"
#include "bench/gpu_models.h"
#include "worker/engine/device/decode_operator.h"
#include "worker/engine/device/device.h"
#include "worker/engine/device/device_name.h"
#include "worker/engine/device/kernel_decode.h"
#include "worker/engine/device/kernel_device.h"
#include "worker/engine/kernels/nf4_double.h"
#include "worker/engine/kernels/testing/test_decoder.h"
#include "worker/engine/torch_border.h"
#include "worker/engine/torch_operators.h"

namespace wattle::engine {
namespace {

constexpr int kNoGpu = 3;
constexpr int64_t kPositions = 1024;
constexpr int64_t kPromptTokens = 32;
constexpr int64_t kLongPrompt = 512;
constexpr int64_t kShortPrompt = 56;
constexpr int64_t kTimedTokens = 128;
constexpr int64_t kComparedTokens = 3;
constexpr int64_t kStepsCompared = 64;
constexpr int64_t kDrawnLayers = 2;

struct Format {
  const char* name;
  kernels::WeightFormat format;
};

// The formats that the CPU's operator also decodes.
constexpr Format kFormats[] = {
    {"fp32", {kernels::WeightScheme::kFloat32, 0}},
    {"int8", {kernels::WeightScheme::kInt8, 0}},
    {"int4-g64", {kernels::WeightScheme::kInt4, 64}},
    {"int4a-g64", {kernels::WeightScheme::kInt4Asymmetric, 64}},
    {"nf4-g64", {kernels::WeightScheme::kNf4, 64}},
};

// A model's bytes on the GPU. Owns them.
class OnGpu {
 public:
  OnGpu(kernels::DecodeModel model, at::Device device) : device_(device), model_(std::move(model)) {
    model_.tokens = Moved(model_.tokens);
    model_.head = model_.tokens;
    model_.positions = Moved(model_.positions, model_.max_positions * model_.width);
    for (kernels::DecodeLayer& layer : model_.layers) {
      for (kernels::WeightMatrix* matrix :
           {&layer.qkv, &layer.attention_output, &layer.up, &layer.down}) {
        *matrix = Moved(*matrix);
      }
      layer.attention_norm = Moved(layer.attention_norm);
      layer.mlp_norm = Moved(layer.mlp_norm);
      const int64_t angles = model_.max_positions * layer.rotary.dimensions / 2;
      layer.rotary.cosines = Moved(layer.rotary.cosines, angles);
      layer.rotary.sines = Moved(layer.rotary.sines, angles);
    }
    model_.final_norm = Moved(model_.final_norm);
    std::vector<float> tables(kernels::Nf4Values().begin(), kernels::Nf4Values().end());
    tables.insert(tables.end(), kernels::DynamicMap().begin(), kernels::DynamicMap().end());
    tables_ = Moved(tables.data(), static_cast<int64_t>(tables.size()));
  }

  [[nodiscard]] const kernels::DecodeModel& model() const { return model_; }
  [[nodiscard]] const float* tables() const { return tables_; }
  [[nodiscard]] int64_t weight_bytes() const { return weight_bytes_; }

 private:
  const std::byte* MovedBytes(const void* from, int64_t bytes) {
    if (from == nullptr || bytes == 0) {
      return nullptr;
    }
    kept_.push_back(at::from_blob(const_cast<void*>(from), {bytes}, at::kByte).to(device_));
    return static_cast<const std::byte*>(kept_.back().data_ptr());
  }
  const float* Moved(const float* from, int64_t count) {
    return reinterpret_cast<const float*>(
        MovedBytes(from, count * static_cast<int64_t>(sizeof(float))));
  }
  kernels::WeightMatrix Moved(kernels::WeightMatrix matrix) {
    const kernels::StoredBytes bytes =
        kernels::OperationsOf(matrix.format.scheme).stored_bytes(matrix);
    weight_bytes_ += bytes.total();
    matrix.packed = MovedBytes(matrix.packed, bytes.packed);
    matrix.scales = MovedBytes(matrix.scales, bytes.scales);
    matrix.bias = Moved(matrix.bias, matrix.rows);
    return matrix;
  }
  kernels::Norm Moved(kernels::Norm norm) {
    norm.gain = Moved(norm.gain, norm.width);
    norm.bias = Moved(norm.bias, norm.width);
    return norm;
  }

  at::Device device_;
  kernels::DecodeModel model_;
  std::vector<at::Tensor> kept_;
  const float* tables_ = nullptr;
  int64_t weight_bytes_ = 0;
};

// A launcher that forwards every call to another one.
class PassedOn : public cuda::KernelLauncher {
 public:
  explicit PassedOn(cuda::KernelLauncher& launcher) : launcher_(launcher) {}
  absl::Status Launch(const cuda::KernelLaunch& launch) override {
    return launcher_.Launch(launch);
  }
  absl::StatusOr<std::unique_ptr<cuda::LaunchGraph>> Record(
      absl::FunctionRef<absl::Status()> body) override {
    return launcher_.Record(body);
  }
  absl::Status Prepare(const std::string& source) override { return launcher_.Prepare(source); }
  absl::Status Upload(void* to, const void* from, int64_t bytes) override {
    return launcher_.Upload(to, from, bytes);
  }
  absl::Status Copy(void* to, const void* from, int64_t bytes) override {
    return launcher_.Copy(to, from, bytes);
  }
  absl::Status Download(void* to, const void* from, int64_t bytes) override {
    return launcher_.Download(to, from, bytes);
  }

 private:
  cuda::KernelLauncher& launcher_;
};

// Starts every kernel separately.
class WithoutGraphs final : public PassedOn {
 public:
  using PassedOn::PassedOn;
  absl::StatusOr<std::unique_ptr<cuda::LaunchGraph>> Record(
      absl::FunctionRef<absl::Status()> /*body*/) override {
    return absl::UnimplementedError("no graphs");
  }
};

constexpr char kChoose[] = "choose";

// Makes only the launches of one kernel and shape, and the choice of a token.
class OneGroup final : public PassedOn {
 public:
  OneGroup(cuda::KernelLauncher& launcher, std::string group)
      : PassedOn(launcher), group_(std::move(group)) {}
  // The group's name, with the rows and columns of its matrix.
  static std::string GroupOf(const cuda::KernelLaunch& launch) {
    if (!absl::StartsWith(launch.kernel, "product_")) {
      return launch.kernel;
    }
    const auto& product = *static_cast<const cuda::ProductArguments*>(launch.arguments);
    return absl::StrCat(launch.kernel, " ", product.matrix.rows, " ", product.matrix.columns);
  }
  absl::Status Launch(const cuda::KernelLaunch& launch) override {
    const std::string group = GroupOf(launch);
    ++launches_[group];
    return group == group_ || group == kChoose ? PassedOn::Launch(launch) : absl::OkStatus();
  }
  absl::StatusOr<std::unique_ptr<cuda::LaunchGraph>> Record(
      absl::FunctionRef<absl::Status()> body) override {
    return PassedOn::Record([&] {
      launches_.clear();
      return body();
    });
  }
  // The launches of the latest recorded graph.
  [[nodiscard]] const std::map<std::string, int>& launches() const { return launches_; }

 private:
  const std::string group_;
  std::map<std::string, int> launches_;
};

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Bytes a second of a sum over an array that exceeds all caches, the best of several. The array
// takes an eighth of the memory, because a board's GPU shares the memory with the model.
double ReadBandwidth(at::Device device) {
  constexpr int64_t kMostBytes = int64_t{4} << 30;
  const int64_t memory = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  const int64_t bytes = std::min(kMostBytes, memory / 8 / 4 * 4);
  const at::Tensor array = at::ones({bytes / 4}, at::dtype(at::kFloat).device(device));
  double best = 0.0;
  for (int round = 0; round < 6; ++round) {
    const auto start = std::chrono::steady_clock::now();
    (void)array.sum().item<float>();
    best = std::max(best, static_cast<double>(bytes) / SecondsSince(start));
  }
  return best;
}

double ErrorOf(const std::vector<float>& got, const std::vector<float>& wanted) {
  double error = 0.0;
  double norm = 0.0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    error += std::pow(got[i] - wanted[i], 2);
    norm += std::pow(wanted[i], 2);
  }
  return std::sqrt(error / norm);
}

// The largest error of the logits of some tokens after a prompt. The CPU's products with codes
// round their inputs to int8, so an error of 0.01 is no fault.
double LogitError(const kernels::DecodeModel& host, DecodeOperator& gpu) {
  kernels::KvCache cache(kernels::KvFormat::kFloat32, kernels::KvShapesOf(host), 1, 64);
  kernels::ThreadPool pool(8);
  kernels::DecodeStep cpu(host, cache, pool, 64);
  std::vector<int64_t> tokens = {464, 11, 900, 31, 5, 77, 1024, 8, 4, 2, 19};
  std::vector<float> wanted(static_cast<size_t>(host.head.rows));
  std::vector<float> got(wanted.size());
  double error = 0.0;
  for (int64_t i = 0; i < kComparedTokens; ++i) {
    const kernels::SequenceTokens sequence = {.slot = 0, .tokens = tokens};
    cpu.Run(absl::MakeConstSpan(&sequence, 1), wanted.data());
    gpu.Run(absl::MakeConstSpan(&sequence, 1), got.data());
    const double of_this = ErrorOf(got, wanted);
    error = of_this <= error ? error : of_this;  // NaN stays
    tokens = {1000 + i};
  }
  return error;
}

// Seconds of each token after a prompt, each chosen on the GPU.
std::vector<double> TokenSeconds(DecodeOperator& gpu) {
  gpu.Clear(0);
  const std::vector<int64_t> prompt(kPromptTokens, 464);
  int64_t token = 0;
  kernels::SequenceTokens sequence = {.slot = 0, .tokens = prompt};
  gpu.RunAndChoose(absl::MakeConstSpan(&sequence, 1), {}, {}, absl::MakeSpan(&token, 1));
  std::vector<double> seconds;
  for (int64_t i = 0; i < kTimedTokens; ++i) {
    const int64_t fed = token;
    sequence.tokens = absl::MakeConstSpan(&fed, 1);
    const auto start = std::chrono::steady_clock::now();
    gpu.RunAndChoose(absl::MakeConstSpan(&sequence, 1), {}, {}, absl::MakeSpan(&token, 1));
    seconds.push_back(SecondsSince(start));
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

// Tokens a second of a prompt whose last token's successor is chosen; the median of several.
double PromptTokensPerSecond(DecodeOperator& gpu, int64_t tokens) {
  const std::vector<int64_t> prompt(static_cast<size_t>(tokens), 464);
  std::vector<double> seconds;
  for (int round = 0; round < 7; ++round) {
    gpu.Clear(0);
    int64_t token = 0;
    const kernels::SequenceTokens sequence = {.slot = 0, .tokens = prompt};
    const auto start = std::chrono::steady_clock::now();
    gpu.RunAndChoose(absl::MakeConstSpan(&sequence, 1), {}, {}, absl::MakeSpan(&token, 1));
    seconds.push_back(SecondsSince(start));
  }
  std::sort(seconds.begin(), seconds.end());
  return static_cast<double>(tokens) / seconds[seconds.size() / 2];
}

// The error of the logits after a prompt of many rows, whose products are BF16, against the same
// tokens in steps of eight.
double PromptError(DecodeOperator& gpu, int64_t vocabulary) {
  std::vector<int64_t> prompt;
  for (int64_t i = 0; i < kLongPrompt; ++i) {
    prompt.push_back((i * 7919 + 464) % vocabulary);
  }
  std::vector<float> many(static_cast<size_t>(vocabulary));
  std::vector<float> few(many.size());
  gpu.Clear(0);
  kernels::SequenceTokens sequence = {.slot = 0, .tokens = prompt};
  gpu.Run(absl::MakeConstSpan(&sequence, 1), many.data());
  gpu.Clear(0);
  for (absl::Span<const int64_t> left = prompt; !left.empty();
       left.remove_prefix(std::min<size_t>(8, left.size()))) {
    sequence.tokens = left.subspan(0, 8);
    gpu.Run(absl::MakeConstSpan(&sequence, 1), few.data());
  }
  return ErrorOf(many, few);
}

// The logits of successive tokens, most of which a graph computes.
std::vector<float> LogitsOfSteps(DecodeOperator& gpu, int64_t vocabulary) {
  gpu.Clear(0);
  std::vector<float> logits(static_cast<size_t>(kStepsCompared * vocabulary));
  for (int64_t i = 0; i < kStepsCompared; ++i) {
    const int64_t token = (i * 7919 + 464) % vocabulary;
    const kernels::SequenceTokens sequence = {.slot = 0, .tokens = absl::MakeConstSpan(&token, 1)};
    gpu.Run(absl::MakeConstSpan(&sequence, 1), logits.data() + i * vocabulary);
  }
  return logits;
}

struct Measured {
  double prompt = 0.0;        // tokens a second of a long prompt
  double short_prompt = 0.0;  // of a prompt that runs by eight rows
  double prompt_error = 0.0;
  double error = 0.0;
  double median_seconds = 0.0;
  double best_seconds = 0.0;
};

absl::StatusOr<std::unique_ptr<DecodeOperator>> MakeDecode(const OnGpu& gpu, at::Device device,
                                                           cuda::KernelLauncher& launcher) {
  return MakeKernelDecode({.model = gpu.model(),
                           .slots = 1,
                           .capacity_tokens = kPositions,
                           .device = device,
                           .nf4_tables = gpu.tables(),
                           .memory = *std::pmr::get_default_resource()},
                          OperationsOn(device), launcher);
}

absl::StatusOr<Measured> Measure(const kernels::DecodeModel& host, const OnGpu& gpu,
                                 at::Device device, cuda::KernelLauncher& launcher) {
  WATTLE_ASSIGN_OR_RETURN(const std::unique_ptr<DecodeOperator> decode,
                          MakeDecode(gpu, device, launcher));
  Measured measured;
  measured.error = LogitError(host, *decode);
  (void)TokenSeconds(*decode);  // warms up
  const std::vector<double> seconds = TokenSeconds(*decode);
  measured.median_seconds = seconds[seconds.size() / 2];
  measured.best_seconds = seconds.front();
  measured.prompt = PromptTokensPerSecond(*decode, kLongPrompt);
  measured.short_prompt = PromptTokensPerSecond(*decode, kShortPrompt);
  measured.prompt_error = PromptError(*decode, host.head.rows);
  return measured;
}

// The token of the same graph with kernels that begin in turn.
struct InTurn {
  double seconds = 0.0;
  double error = 0.0;  // error of the early token's logits
};
absl::StatusOr<InTurn> MeasureInTurn(const OnGpu& gpu, at::Device device,
                                     cuda::DriverLauncher& launcher) {
  const int64_t vocabulary = gpu.model().head.rows;
  WATTLE_ASSIGN_OR_RETURN(const std::unique_ptr<DecodeOperator> early,
                          MakeDecode(gpu, device, launcher));
  const std::vector<float> wanted = LogitsOfSteps(*early, vocabulary);
  const cuda::Beginning before = launcher.beginning();
  launcher.set_beginning(cuda::Beginning::kInTurn);
  WATTLE_ASSIGN_OR_RETURN(const std::unique_ptr<DecodeOperator> in_turn,
                          MakeDecode(gpu, device, launcher));
  InTurn measured;
  measured.error = ErrorOf(wanted, LogitsOfSteps(*in_turn, vocabulary));
  (void)TokenSeconds(*in_turn);
  const std::vector<double> seconds = TokenSeconds(*in_turn);
  measured.seconds = seconds[seconds.size() / 2];
  launcher.set_beginning(before);
  return measured;
}

// Seconds of a token of this group, and the launches of all groups in a token.
absl::StatusOr<std::pair<double, std::map<std::string, int>>> GroupSeconds(
    const OnGpu& gpu, at::Device device, cuda::KernelLauncher& launcher, const std::string& group) {
  OneGroup only(launcher, group);
  WATTLE_ASSIGN_OR_RETURN(const std::unique_ptr<DecodeOperator> decode,
                          MakeDecode(gpu, device, only));
  (void)TokenSeconds(*decode);
  // Read now: later the end of the prompt runs again, and its eight rows are recorded too.
  const std::map<std::string, int> launches = only.launches();
  const std::vector<double> seconds = TokenSeconds(*decode);
  return std::pair(seconds[seconds.size() / 2], launches);
}

// A list in JSON.
absl::StatusOr<std::string> KernelTable(const OnGpu& gpu, at::Device device,
                                        cuda::KernelLauncher& launcher) {
  WATTLE_ASSIGN_OR_RETURN(const auto choice, GroupSeconds(gpu, device, launcher, kChoose));
  std::string table = absl::StrFormat(
      "{\"kernel\": \"copies and choose\", \"launches\": 1, \"us\": %.3f}", 1e6 * choice.first);
  for (const auto& [group, launches] : choice.second) {
    if (group != kChoose) {
      WATTLE_ASSIGN_OR_RETURN(const auto measured, GroupSeconds(gpu, device, launcher, group));
      absl::StrAppendFormat(&table, ", {\"kernel\": \"%s\", \"launches\": %d, \"us\": %.3f}", group,
                            launches, 1e6 * (measured.first - choice.first) / launches);
    }
  }
  return absl::StrCat("[", table, "]");
}

absl::Status Decode(const GpuModel& model, const Format& format, at::Device device) {
  kernels::DecoderSizes sizes = model.sizes;
  sizes.layers = kDrawnLayers;
  sizes.positions = kPositions;
  kernels::RandomDecoder drawn(sizes, {.blocks = format.format, .head = format.format}, 1);
  kernels::DecodeModel host = drawn.model;
  while (static_cast<int64_t>(host.layers.size()) < model.sizes.layers) {
    host.layers.push_back(host.layers[host.layers.size() % kDrawnLayers]);
  }
  const OnGpu gpu(host, device);
  WATTLE_ASSIGN_OR_RETURN(const std::unique_ptr<cuda::DriverLauncher> launcher,
                          LauncherByDriver(device));
  WithoutGraphs without(*launcher);
  WATTLE_ASSIGN_OR_RETURN(const Measured graphs, Measure(host, gpu, device, *launcher));
  WATTLE_ASSIGN_OR_RETURN(const InTurn in_turn, MeasureInTurn(gpu, device, *launcher));
  WATTLE_ASSIGN_OR_RETURN(const Measured launches, Measure(host, gpu, device, without));
  WATTLE_ASSIGN_OR_RETURN(const std::string kernels, KernelTable(gpu, device, *launcher));
  const double bandwidth = ReadBandwidth(device);
  const auto bytes = static_cast<double>(gpu.weight_bytes());
  std::printf(
      "{\"model\": \"%s\", \"format\": \"%s\", \"tokens_per_s\": %.2f, \"early\": %d, "
      "\"tokens_per_s_in_turn\": %.2f, \"early_error\": %.3g, "
      "\"best_tokens_per_s\": %.2f, \"tokens_per_s_without_graphs\": %.2f, "
      "\"weight_bytes\": %.0f, \"read_bytes_per_s\": %.4g, \"bandwidth_share\": %.4f, "
      "\"logit_error\": %.3g, \"logit_error_without_graphs\": %.3g, \"prompt_tokens_per_s\": %.0f, "
      "\"short_prompt_tokens_per_s\": %.0f, \"prompt_error\": %.3g, \"kernels\": %s}\n",
      model.name, format.name, 1 / graphs.median_seconds,
      launcher->beginning() == cuda::Beginning::kEarly ? 1 : 0, 1 / in_turn.seconds, in_turn.error,
      1 / graphs.best_seconds, 1 / launches.median_seconds, bytes, bandwidth,
      bytes / graphs.median_seconds / bandwidth, graphs.error, launches.error, graphs.prompt,
      graphs.short_prompt, graphs.prompt_error, kernels.c_str());
  return absl::OkStatus();
}

int Main(const std::string& model_name, const std::string& format_name) {
  const auto device = DeviceNamed("cuda");
  if (!device.ok()) {
    std::fprintf(stderr, "wattle-gpu-decode: %s\n", std::string(device.status().message()).c_str());
    return kNoGpu;
  }
  for (const GpuModel& model : kGpuModels) {
    for (const Format& format : kFormats) {
      if (model.name == model_name && format.name == format_name) {
        const absl::Status status =
            AtTorchBorder("decode", [&] { return Decode(model, format, *device); });
        if (!status.ok()) {
          std::fprintf(stderr, "wattle-gpu-decode: %s\n", std::string(status.message()).c_str());
        }
        return status.ok() ? 0 : 1;
      }
    }
  }
  std::fprintf(stderr, "wattle-gpu-decode: no model \"%s\" with format \"%s\"\n",
               model_name.c_str(), format_name.c_str());
  return 2;
}

}  // namespace
}  // namespace wattle::engine

int main(int argc, char** argv) {
  return argc == 3 ? wattle::engine::Main(argv[1], argv[2]) : 2;
}

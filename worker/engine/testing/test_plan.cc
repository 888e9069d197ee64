// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/testing/test_plan.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include <ATen/core/Tensor.h>

#include "base/testing/status_matchers.h"
#include "worker/engine/models/tensor_files.h"
#include "worker/engine/quant/recipe_formats.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {
namespace {

constexpr int64_t kScalarBytes = 8;

int64_t BytesOf(const models::PlannedTensor& tensor) {
  return tensor.size_bytes();
}
int64_t BytesOf(const ArenaTensor& tensor) {
  return tensor.size_bytes;
}

models::DecoderConfig FamilyConfig(const std::string& family) {
  const auto config =
      models::ReadDecoderConfig(GoldenPath(absl::StrCat("families/", family, "/config.json")));
  EXPECT_THAT(config, IsOk());
  return *config;
}

// Every allocation and release, in order: "+" and the bytes allocated, "-" and the bytes released.
// The order of releases without an allocation in between does not matter, so these are sorted.
template <typename Tensors, typename Name>
std::vector<std::string> Events(const Tensors& tensors, Name name) {
  std::vector<std::tuple<int64_t, std::string>> events;
  for (const auto& tensor : tensors) {
    if (BytesOf(tensor) > kScalarBytes) {
      const std::string text = absl::StrCat(BytesOf(tensor), name(tensor));
      events.emplace_back(tensor.first_use, absl::StrCat("+", text));
      events.emplace_back(tensor.last_use, absl::StrCat("-", text));
    }
  }
  std::sort(events.begin(), events.end(),
            [](const auto& a, const auto& b) { return std::get<0>(a) < std::get<0>(b); });
  std::vector<std::string> texts;
  for (const auto& event : events) {
    texts.push_back(std::get<1>(event));
  }
  const auto makes = [](const std::string& text) { return text.front() == '+'; };
  for (auto run = texts.begin(); run != texts.end();) {
    const auto end = std::find_if(run, texts.end(), makes);
    std::sort(run, end, [](const std::string& a, const std::string& b) {
      return std::stoll(a) < std::stoll(b);
    });
    run = std::find_if_not(end, texts.end(), makes);
  }
  return texts;
}

}  // namespace

models::DecoderConfig DrawConfig(const std::string& family, Draw& draw) {
  models::DecoderConfig config = family == "gpt2" ? TinyConfig() : FamilyConfig(family);
  config.max_positions = 128;
  config.vocabulary = draw.Of({300, 2000});
  config.attention_dropout = draw.Heads() ? 0.1 : 0.0;
  config.residual_dropout = draw.Heads() ? 0.1 : 0.0;
  // Additional layers like the existing ones, in their order.
  const size_t own = config.layers.size();
  const auto more = static_cast<size_t>(draw.Of({0, 1, 3}));
  for (size_t i = 0; i < more; ++i) {
    config.layers.push_back(config.layers[i % own]);
  }
  return config;
}

void QuantizeFor(const models::PassDescription& pass, Model& model) {
  for (const Parameter& parameter : model.parameters) {
    const auto format = FormatOfTensor(pass.recipe, model.decoder.config, parameter.tensor);
    ASSERT_THAT(format, IsOk());
    if (format->scheme == kernels::WeightScheme::kFloat32 &&
        !(pass.bf16_matrices && IsMatrixSlot(parameter.tensor))) {
      continue;
    }
    MatrixWeights& matrix = MatrixAt(model.decoder.weights, parameter.tensor);
    if (format->scheme == kernels::WeightScheme::kFloat32) {
      MatrixWeights bf16 =
          EmptyMatrix({kernels::WeightScheme::kBf16}, matrix.matrix.rows, matrix.matrix.columns);
      bf16.dequantized_products = true;
      bf16.packed.copy_(matrix.value);
      matrix = std::move(bf16);
      continue;
    }
    auto packed = PackFloats(parameter.tensor.name, *format, matrix.value);
    ASSERT_THAT(packed, IsOk());
    packed->dequantized_products = pass.kind == models::PassKind::kTrain || !pass.adapters.empty();
    matrix = *std::move(packed);
  }
  TieHead(model.decoder.config, model.decoder.weights);
}

std::string Difference(const models::TensorPlan& plan, const std::vector<ArenaTensor>& made) {
  const auto wanted = Events(
      plan.tensors, [](const models::PlannedTensor& t) { return absl::StrCat(" ", t.name); });
  const auto got = Events(made, [](const ArenaTensor& /*t*/) { return ""; });
  const auto same = [](const std::string& planned, const std::string& real) {
    return planned.substr(0, planned.find(' ')) == real;
  };
  size_t first = 0;
  while (first < wanted.size() && first < got.size() && same(wanted[first], got[first])) {
    ++first;
  }
  if (first == wanted.size() && first == got.size()) {
    return "";
  }
  std::string text =
      absl::StrCat("event ", first, " of ", got.size(), " (planned ", wanted.size(), ")\n");
  for (size_t i = first < 8 ? 0 : first - 8; i < first + 8; ++i) {
    absl::StrAppend(&text, i < wanted.size() ? wanted[i] : "", "   |   ",
                    i < got.size() ? got[i] : "", i == first ? "   <--\n" : "\n");
  }
  return text;
}

}  // namespace wattle::engine

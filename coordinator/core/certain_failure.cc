// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/certain_failure.h"

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "coordinator/core/job_kinds_internal.h"
#include "proto/job_kind.h"
#include "proto/kind_name.h"
#include "proto/model_shape.h"
#include "proto/quantization_recipe.h"

namespace wattle::core {
namespace {

// The recipe that the job gives its model; nullopt if it gives none, or a search has to find it.
std::optional<v1::QuantizationRecipe> RecipeToApply(const v1::JobSpec& spec) {
  if (const v1::QuantizationRecipe* const recipe = RecipeIn(spec); recipe != nullptr) {
    return *recipe;
  }
  const auto identity = WantedQuantization(QuantizationIn(spec), nullptr);
  if (!identity.ok() || identity->empty() || *identity == kAdaptiveQuantization) {
    return std::nullopt;
  }
  const auto recipe = RecipeOfIdentity(*identity);
  return recipe.ok() ? std::optional(*recipe) : std::nullopt;
}

struct GroupedRow {
  std::string tensor;
  int64_t columns = 0;
  int group_size = 0;  // 0: the format has no groups.
};

std::vector<GroupedRow> GroupedRows(const v1::QuantizationRecipe& recipe,
                                    const v1::ModelShape& shape) {
  std::vector<GroupedRow> rows;
  const auto add = [&](const std::string& tensor, double columns, const v1::TensorFormat& format) {
    rows.push_back({tensor, std::llround(columns), format.group_size()});
  };
  for (int layer = 0; layer < shape.layers(); ++layer) {
    for (const char* matrix : {"qkv", "attention_output", "up", "down"}) {
      const std::string tensor = absl::StrCat("layers.", layer, ".", matrix, ".weight");
      if (const auto size = FindMatrix(shape, tensor); size.has_value()) {
        add(tensor, size->columns, MatrixFormat(recipe, tensor, /*is_head=*/false));
      }
    }
  }
  const std::string head = shape.untied_head() ? "head.weight" : "tokens.weight";
  add(head, shape.width(), MatrixFormat(recipe, head, /*is_head=*/true));
  if (shape.untied_head()) {
    add("tokens.weight", shape.width(), EmbeddingFormat(recipe));
  }
  return rows;
}

// The engine cuts each row of a matrix into whole groups (worker/engine/kernels/weight_matrix.h).
std::string GroupsDoNotFit(const v1::JobSpec& spec, const v1::ModelShape& shape) {
  const std::optional<v1::QuantizationRecipe> recipe = RecipeToApply(spec);
  if (!recipe.has_value() || shape.width() <= 0 || shape.heads() <= 0) {
    return "";
  }
  const std::vector<GroupedRow> rows = GroupedRows(*recipe, shape);
  for (const GroupedRow& row : rows) {
    if (row.group_size == 0 || row.columns % row.group_size == 0) {
      continue;
    }
    std::vector<int> fitting;
    for (const int group_size : {32, 64, 128}) {
      if (row.columns % group_size == 0) {
        fitting.push_back(group_size);
      }
    }
    return absl::StrCat(
        KindName(spec), RecipeIn(spec) == nullptr ? ".quantization: " : ".recipe: ", "groups of ",
        row.group_size, " do not divide the ", row.columns, " columns of ", row.tensor, "; write ",
        fitting.empty()
            ? ""
            : absl::StrCat("group_size: ", absl::StrJoin(fitting, " or "), " in a recipe, or "),
        "int8");
  }
  return "";
}

}  // namespace

std::string CertainFailure(const v1::JobSpec& spec,
                           const std::vector<scheduler::InputView>& inputs) {
  const KindPart* const part = KindPartOf(spec);
  const v1::ArtifactInfo* model = scheduler::FindInput(inputs, kModelInput);
  const v1::ModelShape* declared = DeclaredModel(spec);
  const v1::ModelShape& shape = declared != nullptr ? *declared
                                : model != nullptr  ? model->model_shape()
                                                    : v1::ModelShape::default_instance();
  std::string failure = part == nullptr || part->certain_failure == nullptr
                            ? ""
                            : part->certain_failure(spec, {model, shape}, inputs);
  return failure.empty() ? GroupsDoNotFit(spec, shape) : failure;
}

}  // namespace wattle::core

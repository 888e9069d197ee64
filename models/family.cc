// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/family.h"

#include "absl/strings/str_cat.h"

#include "base/check.h"

namespace wattle::models {
namespace {

const std::vector<const Family*>& Families() {
  static const auto& families = *new std::vector<const Family*>{
      &Gpt2Family(),  &LlamaFamily(),  &MistralFamily(), &Qwen2Family(),    &PhiFamily(),
      &GemmaFamily(), &Gemma2Family(), &GptNeoxFamily(), &StableLmFamily(), &Kosmos2TextFamily()};
  return families;
}

}  // namespace

const Family* FindFamily(absl::string_view name) {
  for (const Family* family : Families()) {
    if (name == family->name) {
      return family;
    }
  }
  return nullptr;
}

const WholeModel* FindWholeModel(absl::string_view model_type) {
  for (const Family* family : Families()) {
    if (family->whole_model.has_value() && model_type == family->whole_model->model_type) {
      return &*family->whole_model;
    }
  }
  return nullptr;
}

const Family& FamilyOf(const DecoderConfig& config) {
  const Family* family = FindFamily(config.family);
  WATTLE_CHECK(family != nullptr, "a description names one of the families");
  return *family;
}

std::string FamilyNames() {
  std::string names;
  for (const Family* family : Families()) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", family->name);
  }
  return names;
}

}  // namespace wattle::models

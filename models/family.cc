// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/family.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "family_files.h"
#include "proto/model_shape.h"

namespace wattle::models {
namespace {

std::ptrdiff_t PlaceOf(const Family& family) {
  return std::distance(
      Architectures().begin(),
      std::find_if(Architectures().begin(), Architectures().end(),
                   [&](const Architecture& one) { return one.name == family.name; }));
}

std::vector<Family> ReadFamilyFiles() {
  std::vector<Family> families;
  for (const auto families_of_file : kFamilyFiles) {
    std::vector<Family> of_file = families_of_file();
    std::move(of_file.begin(), of_file.end(), std::back_inserter(families));
  }
  std::sort(families.begin(), families.end(),
            [](const Family& a, const Family& b) { return PlaceOf(a) < PlaceOf(b); });
  return families;
}

}  // namespace

const std::vector<Family>& Families() {
  static const auto& families = *new std::vector<Family>(ReadFamilyFiles());
  return families;
}

const Family* FindFamily(absl::string_view name) {
  for (const Family& family : Families()) {
    if (name == family.name) {
      return &family;
    }
  }
  return nullptr;
}

const WholeModel* FindWholeModel(absl::string_view model_type) {
  for (const Family& family : Families()) {
    if (family.whole_model.has_value() && model_type == family.whole_model->model_type) {
      return &*family.whole_model;
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
  for (const Family& family : Families()) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", family.name);
  }
  return names;
}

const Family* FindGgufFamily(absl::string_view architecture) {
  for (const Family& family : Families()) {
    if (family.gguf.has_value() && family.gguf->read != nullptr &&
        architecture == family.gguf->architecture) {
      return &family;
    }
  }
  return nullptr;
}

std::string GgufArchitectureNames() {
  std::string names;
  for (const Family& family : Families()) {
    if (family.gguf.has_value() && family.gguf->read != nullptr) {
      absl::StrAppend(&names, names.empty() ? "" : ", ", family.gguf->architecture);
    }
  }
  return names;
}

std::vector<formats::GgufPreTokenizerName> GgufPreTokenizerNames() {
  std::vector<formats::GgufPreTokenizerName> names;
  for (const Family& family : Families()) {
    if (family.gguf.has_value()) {
      names.insert(names.end(), family.gguf->pre_tokenizers.begin(),
                   family.gguf->pre_tokenizers.end());
    }
  }
  return names;
}

}  // namespace wattle::models

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/tensor_source.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace wattle::formats {

const TensorEntry* TensorSource::Find(absl::string_view name) const {
  const std::vector<TensorEntry>& all = tensors();
  const auto found = std::lower_bound(
      all.begin(), all.end(), name,
      [](const TensorEntry& tensor, absl::string_view wanted) { return tensor.name < wanted; });
  return found == all.end() || found->name != name ? nullptr : &*found;
}

NumberForm TensorSource::FormOf(const TensorEntry& tensor) const {
  return tensor.type == DataType::kF16    ? NumberForm::kFloat16
         : tensor.type == DataType::kBF16 ? NumberForm::kBfloat16
                                          : NumberForm::kFloat32;
}

absl::Status TensorSource::ReadCodes(const TensorEntry& tensor, int64_t /*first*/,
                                     const CodedRows& /*rows*/) const {
  return absl::InternalError(absl::StrCat(path(), ": tensor ", tensor.name, ": has no codes"));
}

}  // namespace wattle::formats

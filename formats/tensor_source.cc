// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/tensor_source.h"

#include <algorithm>

namespace wattle::formats {

const TensorEntry* TensorSource::Find(absl::string_view name) const {
  const std::vector<TensorEntry>& all = tensors();
  const auto found = std::lower_bound(
      all.begin(), all.end(), name,
      [](const TensorEntry& tensor, absl::string_view wanted) { return tensor.name < wanted; });
  return found == all.end() || found->name != name ? nullptr : &*found;
}

}  // namespace wattle::formats

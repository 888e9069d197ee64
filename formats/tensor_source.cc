// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "formats/tensor_source.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "base/crc32c.h"
#include "base/status_macros.h"

namespace wattle::formats {

const TensorEntry* TensorSource::Find(absl::string_view name) const {
  const std::vector<TensorEntry>& all = tensors();
  const auto found = std::lower_bound(
      all.begin(), all.end(), name,
      [](const TensorEntry& tensor, absl::string_view wanted) { return tensor.name < wanted; });
  return found == all.end() || found->name != name ? nullptr : &*found;
}

std::optional<StoredChecksum> TensorSource::ChecksumOf(const TensorEntry& /*tensor*/) const {
  return std::nullopt;
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

bool TensorSource::HasOutputRows(const TensorEntry& /*tensor*/) const {
  return false;
}

absl::Status TensorSource::ReadOutputRows(const TensorEntry& tensor, int64_t /*first*/,
                                          absl::Span<float> /*values*/) const {
  return absl::InternalError(
      absl::StrCat(path(), ": tensor ", tensor.name, ": has no rows of outputs"));
}

absl::Status TensorStream::Next(absl::Span<std::byte> out) {
  WATTLE_RETURN_IF_ERROR(source_.ReadPart(tensor_, offset_, out));
  offset_ += static_cast<int64_t>(out.size());
  if (!checksum_.has_value()) {
    return absl::OkStatus();
  }
  crc_ = ExtendCrc32c(crc_, {reinterpret_cast<const char*>(out.data()), out.size()});
  return offset_ < tensor_.size_bytes()
             ? absl::OkStatus()
             : CompareChecksum(checksum_->path, tensor_.name, crc_, checksum_->crc32c);
}

}  // namespace wattle::formats

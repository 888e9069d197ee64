// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/gguf_weights.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "base/status_macros.h"
#include "formats/json.h"
#include "models/family.h"
#include "models/model_directory.h"
#include "models/tensors.h"

namespace wattle::models {
namespace {

using formats::GgufTensor;
using formats::TensorEntry;

constexpr int64_t kValuesAtOnce = int64_t{1} << 16;

absl::Status TensorError(const formats::GgufFile& file, const std::string& tensor,
                         absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(file.path(), ": tensor ", formats::Printable(tensor), ": ", what));
}

// Copies values of a GGUF tensor to their places in a part of the Hugging Face tensor.
class PartOfTensor {
 public:
  // first: index of the part's first value; out: the part, floats.
  PartOfTensor(const GgufPlacement& placement, int64_t first, absl::Span<std::byte> out)
      : conversion_(placement.conversion),
        rows_(placement.gguf.shape[0]),
        columns_(placement.gguf.shape.size() > 1 ? placement.gguf.shape[1] : 1),
        first_(first),
        end_(first + static_cast<int64_t>(out.size()) / kFloatBytes),
        out_(out.data()) {}

  // Whether any of these rows of the GGUF tensor has values of the part.
  [[nodiscard]] bool TakesFrom(int64_t row, int64_t count) const {
    bool takes = conversion_.transposed;
    for (int64_t end = row + count; !takes && row < end; ++row) {
      const int64_t number = conversion_.HuggingFaceRow(row, rows_) * columns_;
      takes = number < end_ && number + columns_ > first_;
    }
    return takes;
  }

  // values: whole rows of the GGUF tensor from row `row` on. A vector has rows of one value.
  void Place(int64_t row, absl::Span<float> values) const {
    if (conversion_.one_added) {
      for (float& value : values) {
        value -= 1.0F;
      }
    }
    for (size_t at = 0; at < values.size(); at += static_cast<size_t>(columns_), ++row) {
      PlaceRow(row, values.data() + at);
    }
  }

 private:
  void PlaceRow(int64_t row, const float* values) const {
    if (conversion_.transposed) {
      for (int64_t column = 0; column < columns_; ++column) {
        const int64_t number = column * rows_ + row;
        if (number >= first_ && number < end_) {
          std::memcpy(out_ + (number - first_) * kFloatBytes, values + column, sizeof(float));
        }
      }
      return;
    }
    const int64_t number = conversion_.HuggingFaceRow(row, rows_) * columns_;
    const int64_t begin = std::max(number, first_);
    const int64_t end = std::min(number + columns_, end_);
    if (begin < end) {
      std::memcpy(out_ + (begin - first_) * kFloatBytes, values + (begin - number),
                  static_cast<size_t>((end - begin) * kFloatBytes));
    }
  }

  const GgufConversion& conversion_;
  int64_t rows_;
  int64_t columns_;
  int64_t first_;
  int64_t end_;
  std::byte* out_;
};

}  // namespace

absl::Status GgufWeights::Add(GgufPlacement placement) {
  const GgufTensor* found = file_.header().Find(placement.gguf.name);
  if (found == nullptr) {
    return TensorError(file_, placement.gguf.name,
                       absl::StrCat("missing; the metadata wants it with shape ",
                                    formats::FormatShape(placement.gguf.shape)));
  }
  if (found->shape != placement.gguf.shape) {
    return TensorError(
        file_, placement.gguf.name,
        absl::StrCat("has shape ", formats::FormatShape(found->shape), ", the metadata wants ",
                     formats::FormatShape(placement.gguf.shape)));
  }
  TensorEntry entry;
  entry.name = placement.hugging_face.name;
  entry.shape = placement.hugging_face.shape;
  tensors_.push_back(std::move(entry));
  placements_.push_back(std::move(placement));
  return absl::OkStatus();
}

absl::StatusOr<GgufWeights> GgufWeights::Open(const std::string& path,
                                              const DecoderConfig& config) {
  WATTLE_ASSIGN_OR_RETURN(formats::GgufFile file, formats::GgufFile::Open(path));
  if (!FamilyOf(config).gguf.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": beside a config.json of the family ", config.family,
                     ", which GGUF files do not hold; push the GGUF file again"));
  }
  GgufWeights weights(std::move(file));
  std::vector<GgufPlacement> placements = GgufPlacements(config);
  if (config.tied_embeddings && weights.file_.header().Find(kGgufHead) != nullptr) {
    GgufPlacement copy = placements.front();  // of the token embedding
    copy.hugging_face.name = HeadName(config);
    copy.gguf.name = kGgufHead;
    placements.push_back(std::move(copy));
  }
  ModelDirectory names;
  names.config = config;
  names.tensor_prefix = FamilyOf(config).file_prefix;
  for (GgufPlacement& placement : placements) {
    placement.hugging_face.name = TensorNameInFile(names, placement.hugging_face.name);
  }
  std::sort(placements.begin(), placements.end(),
            [](const auto& a, const auto& b) { return a.hugging_face.name < b.hugging_face.name; });
  absl::flat_hash_set<std::string> known = {kGgufRopeFactors};
  for (GgufPlacement& placement : placements) {
    known.insert(placement.gguf.name);
    WATTLE_RETURN_IF_ERROR(weights.Add(std::move(placement)));
  }
  for (const GgufTensor& tensor : weights.file_.header().tensors) {
    if (!known.contains(tensor.name)) {
      return TensorError(weights.file_, tensor.name,
                         absl::StrCat("not part of a model of the family ", config.family,
                                      "; this version cannot read the model"));
    }
  }
  return weights;
}

std::vector<std::string> GgufWeights::FileNames() const {
  const size_t slash = path().rfind('/');
  return {slash == std::string::npos ? path() : path().substr(slash + 1)};
}

absl::Status GgufWeights::Read(const TensorEntry& tensor, absl::Span<std::byte> out) const {
  WATTLE_CHECK(static_cast<int64_t>(out.size()) == tensor.size_bytes(), "the tensor's own size");
  return ReadPart(tensor, 0, out);
}

absl::Status GgufWeights::ReadPart(const TensorEntry& tensor, int64_t offset_bytes,
                                   absl::Span<std::byte> out) const {
  const GgufPlacement& placement = PlacementOf(tensor);
  const GgufTensor& stored = *file_.header().Find(placement.gguf.name);
  const PartOfTensor part(placement, offset_bytes / kFloatBytes, out);
  const int64_t columns = stored.shape.back();
  int64_t row = 0;
  int64_t end = stored.row_count();
  if (placement.conversion.keeps_order()) {  // else any row may have values of the part
    row = offset_bytes / kFloatBytes / columns;
    const int64_t last_byte = offset_bytes + static_cast<int64_t>(out.size());
    end = (last_byte / kFloatBytes + columns - 1) / columns;
  }
  const int64_t rows_at_once = std::max<int64_t>(1, kValuesAtOnce / columns);
  // A vector is one row in the file, but one row per value here.
  const int64_t rows_of_row = stored.shape.size() > 1 ? 1 : columns;
  std::vector<float> values;
  for (; row < end; row += rows_at_once) {
    const int64_t rows = std::min(rows_at_once, end - row);
    if (!part.TakesFrom(row * rows_of_row, rows * rows_of_row)) {
      continue;
    }
    values.resize(static_cast<size_t>(rows * columns));
    WATTLE_RETURN_IF_ERROR(file_.ReadRows(stored, row, rows, absl::MakeSpan(values)));
    part.Place(row * rows_of_row, absl::MakeSpan(values));
  }
  return absl::OkStatus();
}

const GgufPlacement& GgufWeights::PlacementOf(const TensorEntry& tensor) const {
  const TensorEntry* own = Find(tensor.name);
  WATTLE_CHECK(own != nullptr, "the tensor is one of this file's");
  return placements_[static_cast<size_t>(own - tensors_.data())];
}

formats::NumberForm GgufWeights::FormOf(const TensorEntry& tensor) const {
  const GgufPlacement& placement = PlacementOf(tensor);
  if (!placement.is_matrix) {
    return formats::NumberForm::kFloat32;
  }
  switch (file_.header().Find(placement.gguf.name)->type) {
    case formats::GgufType::kF16:
      return formats::NumberForm::kFloat16;
    case formats::GgufType::kBF16:
      return formats::NumberForm::kBfloat16;
    case formats::GgufType::kQ8_0:
      return formats::NumberForm::kInt8Groups;
    case formats::GgufType::kQ4_0:
      return formats::NumberForm::kInt4Groups;
    case formats::GgufType::kQ6K:
      return formats::NumberForm::kInt6Blocks;
    default:
      return formats::NumberForm::kFloat32;
  }
}

bool GgufWeights::HasOutputRows(const TensorEntry& tensor) const {
  return PlacementOf(tensor).conversion.transposed;
}

absl::Status GgufWeights::ReadOutputRows(const TensorEntry& tensor, int64_t first,
                                         absl::Span<float> values) const {
  const GgufTensor& stored = *file_.header().Find(PlacementOf(tensor).gguf.name);
  return file_.ReadRows(stored, first, static_cast<int64_t>(values.size()) / stored.shape.back(),
                        values);
}

absl::Status GgufWeights::ReadCodes(const TensorEntry& tensor, int64_t first,
                                    const formats::CodedRows& rows) const {
  const GgufPlacement& placement = PlacementOf(tensor);
  const GgufTensor& stored = *file_.header().Find(placement.gguf.name);
  const auto columns = static_cast<size_t>(stored.shape.back());
  const size_t count = rows.codes.size() / columns;
  const size_t groups = rows.scales.size() / count;
  const size_t blocks = rows.block_scales.size() / count;
  std::vector<std::byte> bytes(static_cast<size_t>(stored.row_bytes()));
  for (size_t i = 0; i < count; ++i) {
    const int64_t row =
        placement.conversion.RowOfOutput(first + static_cast<int64_t>(i), stored.row_count());
    WATTLE_RETURN_IF_ERROR(file_.ReadRowBytes(stored, row, absl::MakeSpan(bytes)));
    formats::UnpackGguf(stored.type, bytes,
                        {.codes = rows.codes.subspan(i * columns, columns),
                         .scales = rows.scales.subspan(i * groups, groups),
                         .block_scales = rows.block_scales.subspan(i * blocks, blocks)});
  }
  return absl::OkStatus();
}

}  // namespace wattle::models

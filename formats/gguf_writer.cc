// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <set>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"
#include "formats/gguf.h"
#include "formats/gguf_layout_internal.h"

namespace wattle::formats {
namespace {

constexpr uint32_t kVersion = 3;

template <typename T>
void AppendNumber(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendText(std::string& out, absl::string_view text) {
  AppendNumber(out, uint64_t{text.size()});
  out.append(text.data(), text.size());
}

void AppendType(std::string& out, ValueType type) {
  AppendNumber(out, static_cast<uint32_t>(type));
}

template <typename T, typename Append>
void AppendArray(std::string& out, ValueType type, const std::vector<T>& elements, Append append) {
  AppendType(out, ValueType::kArray);
  AppendType(out, type);
  AppendNumber(out, uint64_t{elements.size()});
  for (const T& element : elements) {
    append(element);
  }
}

// Appends the type and the value. Returns false for an integer that the file's type cannot hold.
bool AppendValue(std::string& out, const GgufValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) {
    AppendType(out, ValueType::kFlag);
    AppendNumber(out, static_cast<uint8_t>(*flag));
  } else if (const auto* whole = std::get_if<int64_t>(&value)) {
    AppendType(out, ValueType::kUint32);
    AppendNumber(out, static_cast<uint32_t>(*whole));
    return *whole >= 0 && *whole <= int64_t{std::numeric_limits<uint32_t>::max()};
  } else if (const auto* number = std::get_if<double>(&value)) {
    AppendType(out, ValueType::kFloat32);
    AppendNumber(out, static_cast<float>(*number));
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    AppendType(out, ValueType::kText);
    AppendText(out, *text);
  } else if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
    AppendArray(out, ValueType::kText, *texts,
                [&](const std::string& element) { AppendText(out, element); });
  } else if (const auto* numbers = std::get_if<std::vector<double>>(&value)) {
    AppendArray(out, ValueType::kFloat32, *numbers,
                [&](double element) { AppendNumber(out, static_cast<float>(element)); });
  } else {
    const auto& wholes = std::get<std::vector<int64_t>>(value);
    AppendArray(out, ValueType::kInt32, wholes,
                [&](int64_t element) { AppendNumber(out, static_cast<int32_t>(element)); });
    return std::all_of(wholes.begin(), wholes.end(),
                       [](int64_t element) { return element == static_cast<int32_t>(element); });
  }
  return true;
}

// Gives each tensor its offset.
absl::Status PlaceTensors(const std::string& path, std::vector<GgufTensor>& tensors) {
  std::set<std::string> names;
  int64_t end = 0;
  for (GgufTensor& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": tensor ", tensor.name, ": declared twice"));
    }
    const GgufTypeTraits& traits = TraitsOf(tensor.type);
    if (tensor.shape.empty() || tensor.shape.back() % traits.block_elements != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": tensor ", tensor.name, ": its rows are no blocks of ",
                       traits.block_elements, " (", traits.name, ")"));
    }
    tensor.offset_bytes = AlignedUp(end, kGgufAlignment);
    end = tensor.offset_bytes + tensor.size_bytes();
  }
  return absl::OkStatus();
}

void AppendTensor(std::string& out, const GgufTensor& tensor) {
  AppendText(out, tensor.name);
  AppendNumber(out, static_cast<uint32_t>(tensor.shape.size()));
  for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size) {
    AppendNumber(out, static_cast<uint64_t>(*size));
  }
  AppendNumber(out, static_cast<uint32_t>(tensor.type));
  AppendNumber(out, static_cast<uint64_t>(tensor.offset_bytes));
}

}  // namespace

GgufWriter::GgufWriter(DurableFile file, std::vector<GgufTensor> tensors, int64_t data_start_bytes)
    : file_(std::move(file)),
      tensors_(std::move(tensors)),
      written_(tensors_.size()),
      data_start_bytes_(data_start_bytes) {}

absl::StatusOr<GgufWriter> GgufWriter::Create(const std::string& path, const GgufMetadata& metadata,
                                              std::vector<GgufTensor> tensors) {
  WATTLE_RETURN_IF_ERROR(PlaceTensors(path, tensors));
  std::string header = kGgufMagic;
  AppendNumber(header, kVersion);
  AppendNumber(header, uint64_t{tensors.size()});
  AppendNumber(header, uint64_t{metadata.size()});
  for (const auto& [key, value] : metadata) {
    AppendText(header, key);
    if (!AppendValue(header, value)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": ", key, ": a number does not fit into 32 bits"));
    }
  }
  for (const GgufTensor& tensor : tensors) {
    AppendTensor(header, tensor);
  }
  header.resize(
      static_cast<size_t>(AlignedUp(static_cast<int64_t>(header.size()), kGgufAlignment)));
  WATTLE_ASSIGN_OR_RETURN(DurableFile file, DurableFile::Create(path));
  WATTLE_RETURN_IF_ERROR(file.Append(header));
  return GgufWriter(std::move(file), std::move(tensors), static_cast<int64_t>(header.size()));
}

// The index of a declared tensor that is not written yet.
absl::StatusOr<size_t> GgufWriter::Unwritten(absl::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(),
                                  [&](const GgufTensor& tensor) { return tensor.name == name; });
  if (found == tensors_.end()) {
    return absl::NotFoundError(absl::StrCat(file_.path(), ": tensor ", name, ": was not declared"));
  }
  const auto index = static_cast<size_t>(found - tensors_.begin());
  if (written_[index]) {
    return absl::AlreadyExistsError(
        absl::StrCat(file_.path(), ": tensor ", name, ": written twice"));
  }
  return index;
}

absl::Status GgufWriter::Write(absl::string_view name, absl::Span<const float> values) {
  WATTLE_ASSIGN_OR_RETURN(const size_t index, Unwritten(name));
  const GgufTensor& tensor = tensors_[index];
  if (static_cast<int64_t>(values.size()) != tensor.element_count()) {
    return absl::InvalidArgumentError(absl::StrCat(file_.path(), ": tensor ", name, ": ",
                                                   values.size(), " values given, ",
                                                   tensor.element_count(), " declared"));
  }
  std::vector<std::byte> blocks(static_cast<size_t>(tensor.size_bytes()));
  QuantizeGguf(tensor.type, values, absl::MakeSpan(blocks));
  return WriteBlocks(name, blocks);
}

absl::Status GgufWriter::WriteBlocks(absl::string_view name, absl::Span<const std::byte> blocks) {
  WATTLE_ASSIGN_OR_RETURN(const size_t index, Unwritten(name));
  const GgufTensor& tensor = tensors_[index];
  const auto size = static_cast<int64_t>(blocks.size());
  if (size != tensor.size_bytes()) {
    return absl::InvalidArgumentError(absl::StrCat(file_.path(), ": tensor ", name, ": ", size,
                                                   " bytes given, ", tensor.size_bytes(),
                                                   " declared"));
  }
  // The bytes up to the next tensor are zero.
  std::vector<std::byte> bytes(blocks.begin(), blocks.end());
  bytes.resize(static_cast<size_t>(AlignedUp(size, kGgufAlignment)));
  WATTLE_RETURN_IF_ERROR(file_.WriteAt(data_start_bytes_ + tensor.offset_bytes, bytes));
  written_[index] = true;
  return absl::OkStatus();
}

absl::Status GgufWriter::Commit() {
  const auto missing = std::find(written_.begin(), written_.end(), false);
  if (missing != written_.end()) {
    const auto index = static_cast<size_t>(missing - written_.begin());
    return absl::FailedPreconditionError(
        absl::StrCat(file_.path(), ": tensor ", tensors_[index].name, ": not written yet"));
  }
  return file_.Commit();
}

}  // namespace wattle::formats

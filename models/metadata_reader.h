// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reads typed values of GGUF metadata for a family. The first error is kept, and the caller checks
// it once, at the end; until then a value with an error is harmless. Not thread-safe.
#ifndef WATTLE_MODELS_METADATA_READER_H_
#define WATTLE_MODELS_METADATA_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

#include "formats/gguf.h"

namespace wattle::models {

// Facts taken from the tensors.
struct TensorFacts {
  bool tied = false;                // the head shares the token embedding's weights
  std::vector<float> rope_factors;  // values of rope_freqs.weight; empty: no such tensor
};

// Keys are those of gguf_keys_internal.h. A leading "%" is replaced by the architecture's name.
class MetadataReader {
 public:
  // header and facts must outlive the reader. file: a name for messages.
  MetadataReader(const formats::GgufHeader& header, std::string file, std::string architecture,
                 const TensorFacts& facts);

  [[nodiscard]] bool Has(absl::string_view key) const;
  [[nodiscard]] bool HasTensor(absl::string_view name) const;
  // absent: the default; nullopt: the key is required.
  int64_t Whole(absl::string_view key, std::optional<int64_t> absent, int64_t low, int64_t high);
  // An integer from 1 to kSizeMax.
  int64_t Size(absl::string_view key, std::optional<int64_t> absent = std::nullopt);
  double Number(absl::string_view key, std::optional<double> absent);
  bool Flag(absl::string_view key, bool absent);
  std::string Text(absl::string_view key, absl::string_view absent);

  // Refuses a variant of the architecture that the engine does not have.
  void Refuse(absl::string_view key, absl::string_view what);
  void Fail(absl::Status status);

  [[nodiscard]] const formats::GgufHeader& header() const { return header_; }
  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] const TensorFacts& facts() const { return facts_; }
  [[nodiscard]] const absl::Status& status() const { return status_; }

 private:
  [[nodiscard]] std::string KeyOf(absl::string_view key) const;
  [[nodiscard]] const formats::GgufValue* Find(absl::string_view key) const;
  void Wants(absl::string_view key, absl::string_view wanted, const formats::GgufValue* found);

  const formats::GgufHeader& header_;
  std::string file_;
  std::string prefix_;
  const TensorFacts& facts_;
  absl::Status status_;
};

// The sizes, heads and rotary positions of every architecture but GPT-2's, by the config.json names
// of every family but GPT-2.
[[nodiscard]] nlohmann::ordered_json ReadSharedMetadata(MetadataReader& reader);

}  // namespace wattle::models

#endif  // WATTLE_MODELS_METADATA_READER_H_

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reads typed fields of a config.json for a family. The first error is kept, and the caller checks
// it once, at the end; until then a field with an error has a harmless value. Not thread-safe.
#ifndef WATTLE_MODELS_FIELD_READER_H_
#define WATTLE_MODELS_FIELD_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json_fwd.hpp"

namespace wattle::models {

class FieldReader {
 public:
  // The JSON must outlive the reader. file: name for messages.
  FieldReader(const nlohmann::json& json, absl::string_view file) : json_(json), file_(file) {}

  // An integer from 1 to kSizeMax. absent: the default; nullopt: the field is required.
  int64_t Size(const char* field, std::optional<int64_t> absent);
  // A token of the vocabulary.
  int64_t TokenId(const char* field, int64_t absent, int64_t vocabulary);
  // TokenId for a field that may hold one token or a list of tokens. Empty if the field is null,
  // which means no token in transformers, and if it is missing and `absent` is nullopt.
  std::vector<int64_t> TokenIds(const char* field, std::optional<int64_t> absent,
                                int64_t vocabulary);
  // A number in [low, high).
  double Number(const char* field, double absent, double low, double high);
  bool Flag(const char* field, bool absent);
  std::string Text(const char* field, const char* absent);
  // A list of `count` texts, each one of `allowed`; nullopt if the field is missing.
  std::optional<std::vector<std::string>> Texts(const char* field, int64_t count,
                                                const std::vector<std::string>& allowed);
  // Reads the fields of a nested object, called "outer.field" in messages; reads nothing if the
  // object is missing. Errors are kept in this reader.
  template <typename Read>
  void Inside(const char* field, Read read) {
    if (const nlohmann::json* value = Object(field); value != nullptr) {
      const std::string name = file_ + ": " + field;
      FieldReader inner(*value, name);
      read(inner);
      if (!inner.status().ok()) {
        Fail(inner.status());
      }
    }
  }
  // Whether the field is present and not null. Except in TokenIds, null counts as missing.
  [[nodiscard]] bool Has(const char* field) const { return Find(field) != nullptr; }
  // Whether the field is present and null, which in some fields means none instead of the default.
  [[nodiscard]] bool IsNull(const char* field) const;

  // Refuses a variant of the architecture that the engine does not have.
  void Refuse(const char* field, absl::string_view value, absl::string_view wanted);
  void Fail(absl::Status status);

  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] const absl::Status& status() const { return status_; }

 private:
  [[nodiscard]] const nlohmann::json* Find(const char* field) const;
  // The field if it is an object; nullptr if it is missing, or with an error if it is something
  // else.
  const nlohmann::json* Object(const char* field);

  const nlohmann::json& json_;
  std::string file_;
  absl::Status status_ = absl::OkStatus();
};

}  // namespace wattle::models

#endif  // WATTLE_MODELS_FIELD_READER_H_

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "models/gguf_directory.h"

#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"

#include "base/durable_file.h"
#include "base/status_macros.h"
#include "formats/gguf_tokenizer.h"
#include "formats/safetensors_set.h"
#include "models/family.h"
#include "models/gguf_config.h"
#include "models/gguf_keys_internal.h"
#include "models/gguf_weights.h"
#include "models/model_directory.h"

namespace wattle::models {
namespace {

namespace fs = std::filesystem;

absl::Status CheckVocabulary(const formats::GgufFile& file, const DecoderConfig& config) {
  const formats::GgufValue* tokens = file.header().FindValue(kTokensKey);
  const auto* texts = tokens == nullptr ? nullptr : std::get_if<std::vector<std::string>>(tokens);
  if (texts != nullptr && static_cast<int64_t>(texts->size()) > config.vocabulary) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": ", kTokensKey, ": has ", texts->size(), " tokens, tensor ",
                     kGgufTokens, " ", config.vocabulary, " rows; convert the model again"));
  }
  return absl::OkStatus();
}

absl::Status WriteIn(const std::string& directory, absl::string_view name,
                     absl::string_view content) {
  return WriteFileDurably(absl::StrCat(directory, "/", name), content);
}

}  // namespace

absl::StatusOr<std::optional<std::string>> FindGguf(const std::string& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) {
    return path;
  }
  if (fs::exists(fs::path(path) / formats::kWeightsFileName, error) ||
      fs::exists(fs::path(path) / formats::kWeightsIndexFileName, error)) {
    return std::nullopt;
  }
  std::vector<std::string> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, error)) {
    if (entry.path().extension() == ".gguf") {
      found.push_back(entry.path().string());
    }
  }
  if (found.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": has ", found.size(), " .gguf files; give the path of one of them"));
  }
  return found.empty() ? std::nullopt : std::optional<std::string>(found.front());
}

absl::Status ImportGguf(const std::string& gguf, const std::string& directory) {
  WATTLE_ASSIGN_OR_RETURN(const formats::GgufFile file, formats::GgufFile::Open(gguf));
  WATTLE_ASSIGN_OR_RETURN(const DecoderConfig config, DecoderConfigOfGguf(file));
  WATTLE_RETURN_IF_ERROR(GgufWeights::Open(gguf, config).status());
  WATTLE_ASSIGN_OR_RETURN(
      const std::vector<formats::NamedFile> tokenizer,
      formats::TokenizerFilesOfGguf(file.header().metadata, gguf, GgufPreTokenizerNames()));
  WATTLE_RETURN_IF_ERROR(CheckVocabulary(file, config));
  for (const formats::NamedFile& each : tokenizer) {
    WATTLE_RETURN_IF_ERROR(WriteIn(directory, each.name, each.content));
  }
  WATTLE_RETURN_IF_ERROR(WriteIn(directory, kConfigFile, FormatDecoderConfig(config)));
  std::error_code error;
  fs::create_symlink(fs::absolute(gguf), fs::path(directory) / kGgufFile, error);
  return error ? absl::InternalError(
                     absl::StrCat(directory, "/", kGgufFile, ": cannot link: ", error.message()))
               : absl::OkStatus();
}

}  // namespace wattle::models

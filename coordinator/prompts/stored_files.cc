// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/prompts/stored_files.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "artifacts/sha256.h"
#include "base/status_macros.h"

namespace wattle::prompts {
namespace {

constexpr int64_t kTokenizerBytesMax = int64_t{64} << 20;

const v1::ManifestFile* FindFile(const v1::Manifest& manifest, absl::string_view path) {
  for (const v1::ManifestFile& file : manifest.files()) {
    if (file.path() == path) {
      return &file;
    }
  }
  return nullptr;
}

// The first bytes_max bytes of the file, or all of them where the file is shorter.
absl::StatusOr<std::string> ReadStart(artifacts::BlobStore& store, const v1::ManifestFile& file,
                                      int64_t bytes_max) {
  const auto wanted = static_cast<size_t>(bytes_max);
  std::string bytes;
  for (const std::string& chunk : file.chunk_sha256()) {
    if (bytes.size() >= wanted) {
      break;
    }
    WATTLE_ASSIGN_OR_RETURN(const std::string more, store.ReadChunk(artifacts::ChunkId(chunk)));
    bytes += more;
  }
  if (bytes.size() > wanted) {
    bytes.resize(wanted);
  }
  return bytes;
}

absl::StatusOr<std::string> ReadWhole(artifacts::BlobStore& store, const v1::ManifestFile& file) {
  if (file.size_bytes() > kTokenizerBytesMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat(file.path(), ": ", file.size_bytes(), " bytes are too many for a tokenizer"));
  }
  return ReadStart(store, file, file.size_bytes());
}

// Nothing where the artifact has no such file.
absl::StatusOr<std::optional<std::string>> ReadIfThere(artifacts::BlobStore& store,
                                                       const v1::Manifest& manifest,
                                                       absl::string_view name) {
  const v1::ManifestFile* file = FindFile(manifest, name);
  if (file == nullptr) {
    return std::nullopt;
  }
  WATTLE_ASSIGN_OR_RETURN(std::string text, ReadWhole(store, *file));
  return text;
}

}  // namespace

absl::StatusOr<formats::BytePairEncoding> ReadTokenizer(artifacts::BlobStore& store,
                                                        const ArtifactId& model) {
  WATTLE_ASSIGN_OR_RETURN(const v1::Manifest manifest, store.ReadManifest(model));
  return formats::BytePairEncoding::LoadFiles(
      [&](absl::string_view name) { return ReadIfThere(store, manifest, name); }, model.value());
}

absl::StatusOr<formats::ChatTemplate> ReadChatTemplate(artifacts::BlobStore& store,
                                                       const ArtifactId& model) {
  WATTLE_ASSIGN_OR_RETURN(const v1::Manifest manifest, store.ReadManifest(model));
  WATTLE_ASSIGN_OR_RETURN(const std::optional<std::string> config,
                          ReadIfThere(store, manifest, "tokenizer_config.json"));
  WATTLE_ASSIGN_OR_RETURN(const std::optional<std::string> jinja,
                          ReadIfThere(store, manifest, "chat_template.jinja"));
  return formats::ChatTemplate::Parse(config.value_or("{}"), jinja, model.value());
}

absl::StatusOr<std::string> ReadPromptLines(artifacts::BlobStore& store, const ArtifactId& data,
                                            int64_t bytes_max) {
  WATTLE_ASSIGN_OR_RETURN(const v1::Manifest manifest, store.ReadManifest(data));
  for (const v1::ManifestFile& file : manifest.files()) {
    if (!absl::EndsWith(file.path(), ".jsonl")) {
      continue;
    }
    WATTLE_ASSIGN_OR_RETURN(std::string lines, ReadStart(store, file, bytes_max));
    if (static_cast<int64_t>(lines.size()) < file.size_bytes()) {
      const size_t end = lines.rfind('\n');
      lines.resize(end == std::string::npos ? 0 : end + 1);
    }
    return lines;
  }
  return absl::NotFoundError(absl::StrCat(data.value(), ": no file of prompts (.jsonl)"));
}

absl::StatusOr<std::string> ReadTextStart(artifacts::BlobStore& store, const ArtifactId& data,
                                          int64_t bytes_max) {
  WATTLE_ASSIGN_OR_RETURN(const v1::Manifest manifest, store.ReadManifest(data));
  for (const v1::ManifestFile& file : manifest.files()) {
    if (absl::EndsWith(file.path(), ".txt")) {
      return ReadStart(store, file, bytes_max);
    }
  }
  return absl::NotFoundError(absl::StrCat(data.value(), ": no text file (.txt)"));
}

}  // namespace wattle::prompts

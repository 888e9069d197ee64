// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/prompts/stored_files.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "artifacts/sha256.h"
#include "base/status_macros.h"

namespace wattle::prompts {
namespace {

// Of one model. They go to the child in one frame, which is no longer than 64 MiB.
constexpr int64_t kModelBytesMax = int64_t{60} << 20;
constexpr const char* kModelFiles[] = {
    "tokenizer.json",          "vocab.json",        "merges.txt",  "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "config.json", "tokenizer.model",
    "chat_template.jinja"};

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

v1::PromptCountFile AsFile(absl::string_view name, absl::StatusOr<std::string> content) {
  v1::PromptCountFile file;
  file.set_name(std::string(name));
  if (content.ok()) {
    file.set_content(*std::move(content));
  } else {
    file.set_unreadable(std::string(content.status().message()));
  }
  return file;
}

absl::StatusOr<std::string> PromptLines(artifacts::BlobStore& store, const ArtifactId& data,
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

absl::StatusOr<std::string> TextStart(artifacts::BlobStore& store, const ArtifactId& data,
                                      int64_t bytes_max) {
  WATTLE_ASSIGN_OR_RETURN(const v1::Manifest manifest, store.ReadManifest(data));
  for (const v1::ManifestFile& file : manifest.files()) {
    if (absl::EndsWith(file.path(), ".txt")) {
      return ReadStart(store, file, bytes_max);
    }
  }
  return absl::NotFoundError(absl::StrCat(data.value(), ": no text file (.txt)"));
}

}  // namespace

v1::PromptCountModel ReadModelFiles(artifacts::BlobStore& store, const ArtifactId& model) {
  v1::PromptCountModel files;
  files.set_artifact_id(model.value());
  const absl::StatusOr<v1::Manifest> manifest = store.ReadManifest(model);
  int64_t bytes = 0;
  for (const char* const name : kModelFiles) {
    if (!manifest.ok()) {
      *files.add_files() = AsFile(name, manifest.status());
      continue;
    }
    const v1::ManifestFile* const file = FindFile(*manifest, name);
    if (file == nullptr) {
      continue;
    }
    if (file->size_bytes() > kModelBytesMax - bytes) {
      *files.add_files() =
          AsFile(name, absl::ResourceExhaustedError(absl::StrCat(
                           name, ": ", file->size_bytes(), " bytes are too many for a tokenizer")));
      continue;
    }
    bytes += file->size_bytes();
    *files.add_files() = AsFile(name, ReadStart(store, *file, file->size_bytes()));
  }
  return files;
}

v1::PromptCountFile ReadPromptLines(artifacts::BlobStore& store, const ArtifactId& data,
                                    int64_t bytes_max) {
  return AsFile("prompts", PromptLines(store, data, bytes_max));
}

v1::PromptCountFile ReadTextStart(artifacts::BlobStore& store, const ArtifactId& data,
                                  int64_t bytes_max) {
  return AsFile("text", TextStart(store, data, bytes_max));
}

}  // namespace wattle::prompts

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Small files of stored artifacts, read into memory: a model's tokenizer and chat template, the
// prompts of a data set. Thread-safe, as the store is.
#ifndef WATTLE_COORDINATOR_PROMPTS_STORED_FILES_H_
#define WATTLE_COORDINATOR_PROMPTS_STORED_FILES_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

#include "artifacts/blob_store.h"
#include "formats/byte_pair_encoding.h"
#include "formats/chat_template.h"
#include "units/id.h"
#include "wattle/v1/artifact.pb.h"

namespace wattle::prompts {

// The tokenizer of a stored model, of the files that BytePairEncoding::LoadDirectory reads. Errors:
// those of the tokenizer's parser; kNotFound; kResourceExhausted for files of more than 64 MiB.
absl::StatusOr<formats::BytePairEncoding> ReadTokenizer(artifacts::BlobStore& store,
                                                        const ArtifactId& model);

// The chat template of a stored model, of the files that ChatTemplate::LoadDirectory reads. Errors:
// those of ChatTemplate::Parse, among them kNotFound for a model without one.
absl::StatusOr<formats::ChatTemplate> ReadChatTemplate(artifacts::BlobStore& store,
                                                       const ArtifactId& model);

// The lines of a stored prompts file (.jsonl) within its first bytes_max bytes; the last line is
// left out where it is cut. Errors: kNotFound for an artifact without such a file.
absl::StatusOr<std::string> ReadPromptLines(artifacts::BlobStore& store, const ArtifactId& data,
                                            int64_t bytes_max);

// The first bytes_max bytes of a stored text (.txt). Errors: kNotFound for an artifact without one.
absl::StatusOr<std::string> ReadTextStart(artifacts::BlobStore& store, const ArtifactId& data,
                                          int64_t bytes_max);

}  // namespace wattle::prompts

#endif  // WATTLE_COORDINATOR_PROMPTS_STORED_FILES_H_

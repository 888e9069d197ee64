// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Small files of stored artifacts as bytes, which nobody here looks into: a model's tokenizer and
// chat template, the prompts of a data set. Thread-safe, as the store is.
#ifndef WATTLE_COORDINATOR_PROMPTS_STORED_FILES_H_
#define WATTLE_COORDINATOR_PROMPTS_STORED_FILES_H_

#include <cstdint>

#include "artifacts/blob_store.h"
#include "units/id.h"
#include "wattle/v1/prompt_count.pb.h"

namespace wattle::prompts {

// Those files of a stored model that formats::BytePairEncoding::LoadFiles reads, and those of
// formats::ChatTemplate. A file that cannot be read, or that is too long for a tokenizer, says why.
v1::PromptCountModel ReadModelFiles(artifacts::BlobStore& store, const ArtifactId& model);

// The lines of a stored prompts file (.jsonl) within its first bytes_max bytes; the last line is
// left out where it is cut.
v1::PromptCountFile ReadPromptLines(artifacts::BlobStore& store, const ArtifactId& data,
                                    int64_t bytes_max);

// The first bytes_max bytes of a stored text (.txt).
v1::PromptCountFile ReadTextStart(artifacts::BlobStore& store, const ArtifactId& data,
                                  int64_t bytes_max);

}  // namespace wattle::prompts

#endif  // WATTLE_COORDINATOR_PROMPTS_STORED_FILES_H_

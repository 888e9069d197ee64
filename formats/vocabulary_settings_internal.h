// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How transformers uses a byte-level vocabulary without tokenizer.json. The class of the tokenizer
// says how it cuts text, and the files beside vocab.json say which tokens are added. A setting that
// would change token ids and that TokenizerParts cannot hold is refused. Private to formats.
// Thread-safe.
#ifndef WATTLE_FORMATS_VOCABULARY_SETTINGS_INTERNAL_H_
#define WATTLE_FORMATS_VOCABULARY_SETTINGS_INTERNAL_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "formats/tokenizer_parts_internal.h"

namespace wattle::formats {

// Fills the form, the added tokens and the begin token of `parts`, which has the vocabulary. file:
// vocab.json; the names of the other files in messages are those of its neighbours. Errors:
// kInvalidArgument for files that are damaged or contradict each other; kUnimplemented for a
// setting of another kind; both name file and field.
absl::Status ReadVocabularySettings(const VocabularyFiles& files, absl::string_view file,
                                    TokenizerParts& parts);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_VOCABULARY_SETTINGS_INTERNAL_H_

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How GPT-2 cuts text into pieces before it merges bytes. Private to formats. Thread-safe after
// construction.
#ifndef WATTLE_FORMATS_PRE_TOKENIZER_INTERNAL_H_
#define WATTLE_FORMATS_PRE_TOKENIZER_INTERNAL_H_

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace wattle::formats {

class PreTokenizer {
 public:
  PreTokenizer();
  PreTokenizer(const PreTokenizer&) = delete;
  PreTokenizer& operator=(const PreTokenizer&) = delete;
  ~PreTokenizer();

  // Calls `take` with each piece, in order; together they are `text`. Bytes that are no UTF-8 are
  // pieces of their own.
  void Split(absl::string_view text, absl::FunctionRef<void(absl::string_view)> take) const;

 private:
  void SplitValid(absl::string_view text, absl::FunctionRef<void(absl::string_view)> take) const;

  void* expression_;  // pcre2_code: its header stays in the one file that needs it
};

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_PRE_TOKENIZER_INTERNAL_H_

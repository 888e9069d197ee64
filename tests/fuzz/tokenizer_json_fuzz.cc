// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/status_macros.h"
#include "formats/byte_pair_encoding.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(tokenizer_json, bytes) {
  WATTLE_ASSIGN_OR_RETURN(const formats::BytePairEncoding tokenizer,
                          formats::BytePairEncoding::ParseTokenizerJson(bytes, "tokenizer.json"));
  (void)tokenizer.Decode(
      tokenizer.Encode("the an <|endoftext|> ë 東\xff", formats::SpecialTokens::kRecognise));
  return absl::OkStatus();
}

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Unicode normalization form C (Unicode Standard Annex 15), which some tokenizers apply before they
// split text. Private to formats. Thread-safe.
#ifndef WATTLE_FORMATS_NFC_INTERNAL_H_
#define WATTLE_FORMATS_NFC_INTERNAL_H_

#include <string>

#include "absl/strings/string_view.h"

namespace wattle::formats {

// Returns `text` in normalization form C. Invalid UTF-8 stays unchanged.
[[nodiscard]] std::string NormalizedToNfc(absl::string_view text);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_NFC_INTERNAL_H_

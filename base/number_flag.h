// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Numbers on the command line. Thread-safe.
#ifndef WATTLE_BASE_NUMBER_FLAG_H_
#define WATTLE_BASE_NUMBER_FLAG_H_

#include <functional>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace wattle {

// A check for CLI11: empty for a number from low to high, else what is wrong with the text. CLI11's
// own range check lets NaN pass, because every comparison with NaN is false.
inline std::function<std::string(const std::string&)> NumberBetween(double low, double high) {
  return [low, high](const std::string& text) {
    double value = 0.0;
    return absl::SimpleAtod(text, &value) && value >= low && value <= high
               ? std::string()
               : absl::StrCat(text, ": wants a number from ", low, " to ", high);
  };
}

}  // namespace wattle

#endif  // WATTLE_BASE_NUMBER_FLAG_H_

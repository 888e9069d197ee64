// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Numbers on the command line. Thread-safe.
#ifndef WATTLE_CLI_NUMBER_FLAG_H_
#define WATTLE_CLI_NUMBER_FLAG_H_

#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include <CLI/Validators.hpp>

namespace wattle::cli {

// A number from low to high. CLI11's own range check lets NaN pass, because every comparison with
// NaN is false.
inline CLI::Validator NumberBetween(double low, double high) {
  return {[low, high](const std::string& text) {
            double value = 0.0;
            return absl::SimpleAtod(text, &value) && value >= low && value <= high
                       ? std::string()
                       : absl::StrCat(text, ": wants a number from ", low, " to ", high);
          },
          ""};
}

}  // namespace wattle::cli

#endif  // WATTLE_CLI_NUMBER_FLAG_H_

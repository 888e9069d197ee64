// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Compares a whole text with a file under tests/golden/cli. WATTLE_UPDATE_GOLDEN=1 writes the file
// instead; the difference is then reviewed like code. For tests only.
#ifndef WATTLE_CLI_TESTING_GOLDEN_TEXT_H_
#define WATTLE_CLI_TESTING_GOLDEN_TEXT_H_

#include <string>

namespace wattle::cli {

// name: of the file, without folder. A difference is a non-fatal test failure.
void ExpectGolden(const std::string& name, const std::string& text);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TESTING_GOLDEN_TEXT_H_

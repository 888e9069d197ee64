// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/contexts.h"

#include "base/status_macros.h"
#include "tests/fuzz/fuzz_file.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(contexts, bytes) {
  const std::string folder = FolderWith("wattle/contexts.yaml", bytes);
  cli::Environment environment;
  environment.variable = [&](const std::string&) { return folder; };
  WATTLE_ASSIGN_OR_RETURN(const cli::Contexts contexts, cli::Contexts::Load(environment));
  return contexts.Choose("").status();
}

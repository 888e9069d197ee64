// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The command line for people and scripts. What it does is in program.h.
#include <string>
#include <vector>

#include "cli/environment.h"
#include "cli/interrupt.h"
#include "cli/program.h"

int main(int argc, char** argv) {
  wattle::cli::Interrupt interrupt;
  const wattle::cli::SignalThread signals(interrupt);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  return wattle::cli::RunProgram(arguments, WATTLE_VERSION,
                                 wattle::cli::RealEnvironment(&interrupt));
}

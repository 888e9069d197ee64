// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The command line for people and scripts. What it does is in program.h.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "cli/environment.h"
#include "cli/interrupt.h"
#include "cli/program.h"

namespace {

// A descriptor that is closed would be given to the next file or socket, and the answer would go
// there. A device that refuses writes takes the place: the program then says that it cannot write.
void OccupyClosedDescriptors() {
  for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; ++descriptor) {
    if (fcntl(descriptor, F_GETFD) == -1) {
      (void)open("/dev/null", O_RDONLY);  // Takes the lowest free number, which is this one.
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  OccupyClosedDescriptors();
  // What gRPC cannot do comes back as a status; its own log would say it twice.
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  wattle::cli::Interrupt interrupt;
  const wattle::cli::SignalThread signals(interrupt);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  return wattle::cli::RunProgram(arguments, WATTLE_VERSION,
                                 wattle::cli::RealEnvironment(&interrupt));
}

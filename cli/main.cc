// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The main function of `wattle`; program.h has the program.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "cli/environment.h"
#include "cli/interrupt.h"
#include "cli/program.h"

#include "base/process_privacy.h"
#include "base/tls/credentials.h"
#include "base/tls/token.h"

namespace {

// If standard input, output or error is closed, the next file or socket would get its descriptor,
// and the answer would be written there. Closed descriptors are therefore filled first, with a file
// that refuses writes: the program then reports that it cannot write.
void OccupyClosedDescriptors() {
  for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; ++descriptor) {
    if (fcntl(descriptor, F_GETFD) == -1) {
      (void)open("/dev/null", O_RDONLY);  // takes the lowest free number, which is this one
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  OccupyClosedDescriptors();
  umask(S_IRWXG | S_IRWXO);  // files that the program writes are accessible only to this user
  wattle::LeaveNoCoreFile();
  wattle::tls::UseTls13Alone();
  // gRPC returns its errors as a status; its own log would repeat them.
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  wattle::cli::Interrupt interrupt;
  const wattle::cli::SignalThread signals(interrupt);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  wattle::HideArguments(argc, argv, wattle::tls::kTokenPrefix);
  return wattle::cli::RunProgram(arguments, WATTLE_VERSION,
                                 wattle::cli::RealEnvironment(&interrupt));
}

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: the child that counts prompts, and children that a hostile model has taken over. The
// word says what such a child does in place of its work.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"

#include "coordinator/prompts/counter_program.h"

namespace {

[[noreturn]] void Wait() {
  while (true) {
    pause();
  }
}

[[noreturn]] void Misbehave(absl::string_view word) {
  if (word == "die") {
    kill(getpid(), SIGKILL);
  }
  if (word == "socket") {
    _exit(socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 40 : 41);
  }
  if (word == "read") {
    _exit(open("/etc/passwd", O_RDONLY) >= 0 ? 40 : 41);
  }
  if (word == "babble") {
    const std::string bytes(size_t{1} << 16, '\x7f');
    while (write(STDOUT_FILENO, bytes.data(), bytes.size()) > 0) {
    }
  }
  if (word == "deaf") {
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
  }
  Wait();  // "hang"
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    Misbehave(argv[1]);
  }
  _exit(wattle::prompts::RunCounter(STDIN_FILENO, STDOUT_FILENO));
}

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-worker: flags → agent → run; `wattle-worker enroll` enrols the board in a fleet;
// `wattle-worker probe` shows what this board can measure; `wattle-worker hold`, `release` and
// `status` are sent to the worker that runs on this board. SIGINT and SIGTERM write a checkpoint of
// the running work and end the worker.
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "absl/time/time.h"

#include "base/deadlock_detection.h"
#include "base/process_privacy.h"
#include "base/service_manager.h"
#include "base/tls/credentials.h"
#include "worker/agent/agent.h"
#include "worker/agent/commands.h"
#include "worker/agent/config.h"

int main(int argc, char** argv) {
  // Keys, prompts and results: files of this program are accessible only to its user.
  umask(S_IRWXG | S_IRWXO);
  wattle::LeaveNoCoreFile();
  wattle::LeaveDeadlockDetectionToTests();
  wattle::tls::UseTls13Alone();
  if (argc > 1 && std::string(argv[1]) == "probe") {
    return wattle::agent::RunProbe(argc - 1, argv + 1);
  }
  if (argc > 1 && std::string(argv[1]) == "enroll") {
    return wattle::agent::RunEnroll(argc - 1, argv + 1);
  }
  if (argc > 1 && wattle::agent::IsOwnerCommand(argv[1])) {
    return wattle::agent::RunOwnerCommand(argc - 1, argv + 1);
  }
  wattle::agent::Config config;
  if (const auto code = wattle::agent::ParseCommandLine(argc, argv, WATTLE_VERSION, &config)) {
    return *code;
  }
#ifdef WATTLE_SOURCE_DATE_EPOCH
  config.source_date = absl::FromUnixSeconds(WATTLE_SOURCE_DATE_EPOCH);
#endif
  const wattle::ServiceManager manager = wattle::ServiceManager::FromEnvironment();
  signal(SIGPIPE, SIG_IGN);  // a dead runner is detected by its exit
  // Blocked before any thread starts, so that all threads leave the signals to the waiting one.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  absl::StatusOr<std::unique_ptr<wattle::agent::Agent>> agent =
      wattle::agent::Agent::Create(config, WATTLE_VERSION);
  if (!agent.ok()) {
    std::fprintf(stderr, "wattle-worker: %s\n", std::string(agent.status().message()).c_str());
    return absl::IsInvalidArgument(agent.status())
               ? 2
               : 1;  // 2: an error of the flags, or of the state that they name
  }
  std::printf("%s\n", (*agent)->ReadyLine().c_str());
  std::fflush(stdout);
  manager.Ready((*agent)->ReadyLine());
  std::thread waiter([&signals, &agent, &manager] {
    int number = 0;
    sigwait(&signals, &number);
    manager.Stopping();
    (*agent)->RequestStop();
  });
  (*agent)->Run(manager);
  // The waiting thread may still wait: Run also ends by itself after a failure.
  pthread_kill(waiter.native_handle(), SIGUSR1);
  waiter.join();
  return 0;
}

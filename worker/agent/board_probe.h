// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Identifies the machine: device class, board name, memory, cores. Reads files under `root` ("" for
// this machine). Functions are thread-safe.
#ifndef WATTLE_WORKER_AGENT_BOARD_PROBE_H_
#define WATTLE_WORKER_AGENT_BOARD_PROBE_H_

#include <cstdint>
#include <string>

namespace wattle::agent {

struct BoardIdentity {
  std::string board;         // the board's own name
  std::string device_class;  // "jetson-orin-nano", …, "generic-x86-64"
  std::string architecture;  // "aarch64", "x86_64"
  int64_t memory_bytes = 0;
};

BoardIdentity ProbeBoard(const std::string& root);
int64_t MemoryAvailableBytes(const std::string& root);  // 0: unknown
std::string BootId(const std::string& root);
// Why no program on this machine can use an NVIDIA GPU, with the remedy; empty: no obstacle is
// known.
std::string NvidiaDriverProblem(const std::string& root);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_BOARD_PROBE_H_

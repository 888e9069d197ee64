// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#ifndef WATTLE_WORKER_AGENT_TESTING_FAKE_RUNNER_FOR_TEST_H_
#define WATTLE_WORKER_AGENT_TESTING_FAKE_RUNNER_FOR_TEST_H_

namespace wattle::agent {

// The built program of worker/child/testing/fake_runner_main.cc.
inline const char kFakeRunner[] = WATTLE_BINARY_DIR "/bin/wattle_fake_runner";

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_TESTING_FAKE_RUNNER_FOR_TEST_H_

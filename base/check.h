// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// WATTLE_CHECK(condition, "why it must hold"): a broken invariant, which only our own bug can
// cause, ends the process. On in release builds. Never for input, disk, network or a worker's
// message: those are a Status.
#ifndef WATTLE_BASE_CHECK_H_
#define WATTLE_BASE_CHECK_H_

#include <cstdio>
#include <cstdlib>

#define WATTLE_CHECK(condition, why)                                                             \
  do {                                                                                           \
    if (!(condition)) {                                                                          \
      std::fprintf(stderr, "%s:%d: broken invariant: %s (%s)\n", __FILE__, __LINE__, #condition, \
                   (why));                                                                       \
      std::abort();                                                                              \
    }                                                                                            \
  } while (false)

#endif  // WATTLE_BASE_CHECK_H_

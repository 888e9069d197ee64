// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The order of training examples: a shuffle for each epoch, a pure function of (seed, epoch), so
// that a position is one number and a resume needs only that number. One thread.
#ifndef WATTLE_WORKER_ENGINE_TRAIN_DATA_ORDER_H_
#define WATTLE_WORKER_ENGINE_TRAIN_DATA_ORDER_H_

#include <cstdint>
#include <vector>

#include "formats/example_pool.h"

namespace wattle::engine {

class DataOrder {
 public:
  // examples ≥ 1.
  DataOrder(uint64_t seed, int64_t examples);
  // Keeps neighbours together: runs of examples are shuffled. run_begins: the first example of each
  // run, ascending from 0.
  DataOrder(uint64_t seed, int64_t examples, std::vector<int64_t> run_begins);

  // The example at a position of the endless stream epoch 0, epoch 1, …; position ≥ 0.
  int64_t At(int64_t position);

 private:
  uint64_t seed_;
  int64_t examples_;
  std::vector<int64_t> run_begins_;
  int64_t epoch_ = -1;  // epoch of `shuffled_`
  std::vector<int64_t> shuffled_;
};

// The runs of examples with a common beginning: neighbours that share more than half of their
// tokens, such as the questions of a paragraph if only the answers count.
std::vector<int64_t> RunsThatBeginAlike(const formats::ExamplePool& pool);

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_TRAIN_DATA_ORDER_H_

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// GPT-2's shape, for tests: GPT-2 Small, or another depth and width of the family.
#ifndef WATTLE_PROTO_TESTING_GPT2_SHAPE_FOR_TEST_H_
#define WATTLE_PROTO_TESTING_GPT2_SHAPE_FOR_TEST_H_

#include "wattle/v1/profile.pb.h"

namespace wattle {

// Heads of 64, a vocabulary of 50257 and a context of 1024, as in all published sizes.
inline v1::ModelShape Gpt2Shape(int layers = 12, int width = 768) {
  v1::ModelShape shape;
  shape.set_architecture("gpt2");
  shape.set_layers(layers);
  shape.set_width(width);
  shape.set_heads(width / 64);
  shape.set_vocabulary_size(50257);
  shape.set_context_length(1024);
  return shape;
}

}  // namespace wattle

#endif  // WATTLE_PROTO_TESTING_GPT2_SHAPE_FOR_TEST_H_

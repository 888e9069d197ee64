// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Estimates how many tokens a generation makes for a prompt before the text ends, from texts that
// ended in measured runs of the model. Lengths depend on the model and its prompts, so runs on all
// devices count: weighted by their number if one or two devices ran the model, else by the median
// over the devices, so that a device that reports arbitrary numbers moves the length by one place
// at most. A model that has generated nothing yet gets the lengths of the models of its shape,
// because fine-tuned and quantized models often give answers of similar length. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_ANSWER_LENGTH_H_
#define WATTLE_SCHEDULER_PREDICT_ANSWER_LENGTH_H_

#include <string>

#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

class ProfileTable;

struct AnswerLength {
  double tokens = 0;
  double deviation = 0;  // Standard deviation of the logarithm of the mean over the prompts; 0: no
                         // text was seen.
};

struct AnsweringModel {
  const v1::ModelShape& shape;
  std::string artifact_id;  // Empty: unknown.
};

// The mean over `prompts` prompts, each of at most `most` tokens. Without a measured generation by
// a model of this shape, `most`.
AnswerLength ExpectedAnswerLength(const ProfileTable& table, const AnsweringModel& model,
                                  double prompts, double most);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_ANSWER_LENGTH_H_

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How many tokens a generation makes for a prompt before the text ends, by the texts that ended in
// measured runs of the model. Lengths belong to the model and its prompts, so runs on all devices
// count: by their number where one or two devices ran it, else by the middle of the devices, so
// that a device that reports what it likes moves the length by one place. A model that generated
// nothing yet has the lengths of the models of its shape: fine-tuned and quantized ones often
// answer alike. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_ANSWER_LENGTH_H_
#define WATTLE_SCHEDULER_PREDICT_ANSWER_LENGTH_H_

#include <string>

#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

class ProfileTable;

struct AnswerLength {
  double tokens = 0;
  double deviation = 0;  // Of the logarithm of the mean over the prompts; 0: no text was seen.
};

struct AnsweringModel {
  const v1::ModelShape& shape;
  std::string artifact_id;  // Empty: not known.
};

// The mean over so many prompts, each of at most `most` tokens. Without a measured generation of a
// model of this shape it is `most`.
AnswerLength ExpectedAnswerLength(const ProfileTable& table, const AnsweringModel& model,
                                  double prompts, double most);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_ANSWER_LENGTH_H_

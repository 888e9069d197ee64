// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How many tokens a generation makes for a prompt before the text ends, by the texts that ended in
// measured runs of the model. Lengths belong to the model and its prompts, so runs on all devices
// count. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_ANSWER_LENGTH_H_
#define WATTLE_SCHEDULER_PREDICT_ANSWER_LENGTH_H_

#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

class ProfileTable;

struct AnswerLength {
  double tokens = 0;
  double deviation = 0;  // Of the logarithm of the mean over the prompts; 0: no text was seen.
};

// The mean over so many prompts, each of at most `most` tokens. Without a measured generation of
// the model it is `most`.
AnswerLength ExpectedAnswerLength(const ProfileTable& table, const v1::ModelShape& model,
                                  double prompts, double most);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_ANSWER_LENGTH_H_

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a job has drawn of its energy budget. Pure.
#ifndef WATTLE_COORDINATOR_CORE_ENERGY_BUDGET_H_
#define WATTLE_COORDINATOR_CORE_ENERGY_BUDGET_H_

#include "units/quantity.h"
#include "wattle/v1/job.pb.h"

namespace wattle::core {

class DecisionBuilder;
struct Observations;

// Gross joules of the job's attempts, as their receipts tell.
Joules SpentEnergy(const v1::Job& job);

// The same with what the running attempt has told of itself so far.
Joules SpentSoFar(const Observations& observations, const v1::Job& job);

// Ends the job once its ended attempts and the live one have drawn its budget, or a profile job
// without one what exploring may draw. A board without a
// link tells no progress, so its attempt goes on until the board is heard of again.
void EndOverBudget(DecisionBuilder& builder, const v1::Job& job, const v1::Attempt& live);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_ENERGY_BUDGET_H_

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// How much of its energy budget a job has used. Pure.
#ifndef WATTLE_COORDINATOR_CORE_ENERGY_BUDGET_H_
#define WATTLE_COORDINATOR_CORE_ENERGY_BUDGET_H_

#include "units/quantity.h"
#include "wattle/v1/job.pb.h"

namespace wattle::core {

class DecisionBuilder;
struct Observations;

// Gross joules of the job's attempts according to their receipts.
Joules SpentEnergy(const v1::Job& job);

// SpentEnergy plus the joules that the running attempt has reported so far.
Joules SpentSoFar(const Observations& observations, const v1::Job& job);

// Ends the job once its attempts, including the live one, have drawn its budget; for a profile job
// without a budget, once they have drawn the exploration budget. An unreachable board reports no
// progress, so its attempt goes on until the board connects again.
void EndOverBudget(DecisionBuilder& builder, const v1::Job& job, const v1::Attempt& live);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_ENERGY_BUDGET_H_

// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "coordinator/core/core.h"
#include "coordinator/core/leaner_forms_internal.h"
#include "proto/spec_defaults.h"

namespace wattle::core {
namespace {

// The largest divisor of `batch` that is at most half of `now`; REQUIRES: now > 1.
int HalfOf(int now, int batch) {
  int half = now / 2;
  while (batch % half != 0) {
    --half;
  }
  return half;
}

class Forms {
 public:
  // A form that validation refuses is none.
  void Add(v1::JobSpec spec, std::string change) {
    if (ValidateSpec(spec, /*files_needed=*/false).ok()) {
      forms_.push_back({std::move(spec), std::move(change)});
    }
  }
  std::vector<LeanerSpec> Take() && { return std::move(forms_); }

 private:
  std::vector<LeanerSpec> forms_;
};

void AddFinetune(const v1::JobSpec& spec, Forms& forms) {
  v1::JobSpec form = spec;
  v1::FinetuneSpec& finetune = *form.mutable_finetune();
  std::string change;
  // MeZO has no backward pass that could recompute.
  if (!finetune.activation_checkpointing() && finetune.optimizer() != v1::OPTIMIZER_MEZO) {
    finetune.set_activation_checkpointing(true);
    change = "activation_checkpointing: true";
    forms.Add(form, change);
    absl::StrAppend(&change, ", ");
  }
  const int batch = finetune.batch_size() > 0 ? finetune.batch_size() : kBatchSizeDefault;
  const int passes = std::max(1, finetune.gradient_accumulation_steps());
  for (int size = batch; size > 1;) {
    if (finetune.update_in_backward()) {
      size /= 2;
      finetune.set_batch_size(size);
      forms.Add(form, absl::StrCat(change, "batch_size: ", size));
      continue;
    }
    size = HalfOf(size, batch);
    const int accumulated = passes * (batch / size);
    finetune.set_batch_size(size);
    finetune.set_gradient_accumulation_steps(accumulated);
    forms.Add(form, absl::StrCat(change, "batch_size: ", size,
                                 ", gradient_accumulation_steps: ", accumulated));
  }
}

template <typename Spec>
void AddSmallerBatches(const v1::JobSpec& spec, Spec* (v1::JobSpec::*of)(), int batch_size,
                       Forms& forms) {
  v1::JobSpec form = spec;
  for (int size = batch_size / 2; size > 0; size /= 2) {
    (form.*of)()->set_batch_size(size);
    forms.Add(form, absl::StrCat("batch_size: ", size));
  }
}

}  // namespace

std::vector<LeanerSpec> LeanerForms(const v1::JobSpec& spec) {
  Forms forms;
  if (spec.has_finetune()) {
    AddFinetune(spec, forms);
  } else if (spec.has_evaluate()) {
    const int batch = spec.evaluate().batch_size();
    AddSmallerBatches(spec, &v1::JobSpec::mutable_evaluate, batch > 0 ? batch : kBatchSizeDefault,
                      forms);
  } else if (spec.has_generate()) {
    AddSmallerBatches(spec, &v1::JobSpec::mutable_generate, spec.generate().batch_size(), forms);
  }
  return std::move(forms).Take();
}

}  // namespace wattle::core

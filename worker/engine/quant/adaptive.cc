// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/quant/adaptive.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include <ATen/core/Tensor.h>

#include "base/status_macros.h"
#include "models/model_directory.h"
#include "proto/quantization_recipe.h"
#include "worker/engine/models/model_files.h"
#include "worker/engine/quant/parent_fit.h"

namespace wattle::engine {
namespace {

// Resolution of a budget: one part is far below the size of any matrix that matters.
constexpr int64_t kBudgetParts = 4096;
// Bisection steps between the bytes of int4 and int8 in the search for the floor.
constexpr int kFloorTrials = 7;

// The whole model in one form, from which a mixed model takes its matrices.
struct Form {
  v1::TensorFormat format;
  LoadedModel model;
};

// A matrix and the norm before it, which calibration changes together.
struct Unit {
  size_t parameter = 0;
  std::vector<int64_t> stored_bytes = {};  // by form
  std::vector<double> loss = {};           // by form: increase of the divergence over int8's
  size_t form = 0;                         // index of the chosen form

  // How much less the form loses than the first form.
  [[nodiscard]] double importance(size_t of_form) const { return loss[0] - loss[of_form]; }
};

v1::TensorFormat FormatOfBits(int bits, int group_size) {
  v1::TensorFormat format;
  format.set_bits(bits);
  format.set_group_size(group_size);
  return format;
}

// The group size of plain int4, and the size that divides every model's rows.
constexpr int kGroup = 64;
constexpr int kFineGroup = 32;

// The group sizes of int4 to try, from the fewest bytes to the most: those that divide every row.
std::vector<int> GroupSizesFor(const models::DecoderConfig& config) {
  std::vector<int> groups = {2 * kGroup, kGroup};
  for (const models::ModelTensor& tensor : models::ModelTensors(config)) {
    if (tensor.is_multiplied(config)) {
      groups.erase(std::remove_if(groups.begin(), groups.end(),
                                  [&](int group) { return tensor.shape[1] % group != 0; }),
                   groups.end());
    }
  }
  groups.push_back(kFineGroup);
  return groups;
}

// Every matrix in one format; an embedding that is not the head in int8.
v1::QuantizationRecipe UniformRecipe(const v1::TensorFormat& format,
                                     const models::DecoderConfig& config) {
  v1::QuantizationRecipe recipe;
  *recipe.mutable_matrices() = format;
  if (!config.tied_embeddings) {
    *recipe.mutable_embedding() = FormatOfBits(8, 0);
  }
  return recipe;
}

// The loss on a short text is noisy and may fall by chance; the divergence cannot.
bool Meets(const ParentFit& fit, double change_percent) {
  return std::max(fit.perplexity_change_percent(), 100.0 * std::expm1(fit.divergence)) <=
         change_percent;
}

class Search {
 public:
  Search(const std::string& directory, const CalibrationText& text, const AdaptiveLimits& limits,
         const std::function<bool()>& on_step)
      : directory_(directory), limits_(limits), on_step_(on_step) {
    SplitText split = SplitCalibrationText(text);
    calibration_ = std::move(split.calibrating);
    parent_.text = std::move(split.measuring);
  }

  absl::StatusOr<AdaptiveChoice> Run() {
    if (parent_.text.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("adaptive quantization wants at least ", kMeasuresEvery,
                       " sequences of calibration text; give a longer file or more "
                       "calibration_tokens"));
    }
    WATTLE_ASSIGN_OR_RETURN(const models::ModelDirectory files,
                            models::InspectModelDirectory(directory_));
    // From the fewest bytes to the most, because the knapsack measures bytes and importance against
    // the first form.
    for (const int group : GroupSizesFor(files.config)) {
      plain_int4_ = group >= kGroup ? forms_.size() : plain_int4_;
      WATTLE_RETURN_IF_ERROR(AddForm(FormatOfBits(4, group), files.config));
    }
    int8_ = forms_.size();
    WATTLE_RETURN_IF_ERROR(AddForm(FormatOfBits(8, 0), files.config));
    WATTLE_RETURN_IF_ERROR(MakeUnits());
    // The two limits are dual: the fewest bytes for a given quality, or the best quality for given
    // bytes.
    if (limits_.perplexity_change_percent > 0.0) {
      WATTLE_RETURN_IF_ERROR(MeetFloor());
    } else {
      WATTLE_RETURN_IF_ERROR(CheckBudget());
      UseBudget(limits_.stored_bytes);
    }
    return Describe();
  }

 private:
  // The first form also fills parent_.
  absl::Status AddForm(const v1::TensorFormat& format, const models::DecoderConfig& config) {
    const v1::QuantizationRecipe recipe = UniformRecipe(format, config);
    WATTLE_ASSIGN_OR_RETURN(LoadedModel model,
                            LoadModel(directory_, {.recipe = &recipe, .defer_quantized = true}));
    const auto on_quantized = [&](int64_t /*weights*/) { return on_step_(); };
    WATTLE_RETURN_IF_ERROR(
        QuantizeCalibrated(calibration_, on_quantized, model, forms_.empty() ? &parent_ : nullptr));
    forms_.push_back({format, std::move(model)});
    return absl::OkStatus();
  }

  // Computes the bytes and the importance of every matrix in each form.
  absl::Status MakeUnits() {
    const std::vector<Parameter>& parameters = forms_[0].model.parameters;
    for (size_t i = 0; i < parameters.size(); ++i) {
      const models::ModelTensor& tensor = parameters[i].tensor;
      if (!tensor.is_multiplied(decoder(0).config)) {
        continue;
      }
      Unit unit{.parameter = i};
      for (const Form& form : forms_) {
        unit.stored_bytes.push_back(StoredBytesIn(form.model.parameters[i].format, tensor));
      }
      units_.push_back(std::move(unit));
    }
    // int8 is the base of the measurement, so its own loss is zero by definition.
    for (size_t form = 0; form < int8_; ++form) {
      WATTLE_RETURN_IF_ERROR(MeasureLoss(form));
    }
    for (Unit& unit : units_) {
      unit.loss.push_back(0.0);  // for int8 itself
    }
    return absl::OkStatus();
  }

  absl::Status CheckBudget() {
    const int64_t least = BytesOfForm(0);
    if (limits_.stored_bytes == 0) {
      limits_.stored_bytes = static_cast<int64_t>(kAdaptiveBytesOverInt4 *
                                                  static_cast<double>(BytesOfForm(plain_int4_)));
    } else if (limits_.stored_bytes < least) {
      return absl::FailedPreconditionError(absl::StrCat(
          "size_budget_bytes: ", limits_.stored_bytes, " is below what every matrix in ",
          wattle::FormatName(forms_[0].format), " takes; write at least ", least));
    }
    return absl::OkStatus();
  }

  [[nodiscard]] const Decoder& decoder(size_t form) const { return forms_[form].model.decoder; }

  static int64_t StoredBytesIn(kernels::WeightFormat format, const models::ModelTensor& tensor) {
    const kernels::WeightMatrix shape{
        .format = format, .rows = tensor.shape[0], .columns = tensor.shape[1]};
    return kernels::OperationsOf(format.scheme).stored_bytes(shape).total();
  }

  [[nodiscard]] int64_t BytesOfForm(size_t form) const {
    int64_t bytes = 0;
    for (const Unit& unit : units_) {
      bytes += unit.stored_bytes[form];
    }
    return bytes;
  }

  [[nodiscard]] const models::ModelTensor& TensorOf(const Unit& unit) const {
    return forms_[0].model.parameters[unit.parameter].tensor;
  }

  // Copies the unit in the form of `from`: its matrix, and the norm that calibration rescaled with
  // it.
  void Place(const Unit& unit, const Decoder& from, Decoder& into) const {
    DecoderWeights source = from.weights;  // shares the tensors
    const models::ModelTensor& tensor = TensorOf(unit);
    MatrixAt(into.weights, tensor) = MatrixAt(source, tensor);
    const auto layer = static_cast<size_t>(std::max<int64_t>(0, tensor.layer));
    switch (tensor.slot) {
      case models::Slot::kQkv:
        into.weights.blocks[layer].attention_norm = source.blocks[layer].attention_norm;
        break;
      case models::Slot::kUp:
        into.weights.blocks[layer].mlp_norm = source.blocks[layer].mlp_norm;
        break;
      case models::Slot::kHead:
        into.weights.final_norm = source.final_norm;
        break;
      case models::Slot::kTokens:
        TieHead(into.config, into.weights);
        break;
      default:
        break;
    }
  }

  [[nodiscard]] Decoder Mixed() const {
    Decoder mixed = decoder(0);
    for (const Unit& unit : units_) {
      Place(unit, decoder(unit.form), mixed);
    }
    return mixed;
  }

  // Measures the increase of the int8 model's divergence when one unit at a time takes the form.
  // The int8 model's own error is so small that it does not hide a matrix's, as the errors of a
  // whole int4 model would. The streams pass through the layers only once, because a unit's change
  // begins at its own layer.
  absl::Status MeasureLoss(size_t form) {
    const Decoder& base = decoder(int8_);
    std::vector<at::Tensor> streams = EmbedSequences(base, parent_.text);
    const double divergence = FitToParentFrom(base, 0, streams, parent_).divergence;
    const size_t layers = base.weights.blocks.size();
    for (size_t layer = 0; layer <= layers; ++layer) {
      for (Unit& unit : units_) {
        const models::ModelTensor& tensor = TensorOf(unit);
        const bool outside = tensor.layer < 0;
        if (outside ? layer != layers : tensor.layer != static_cast<int64_t>(layer)) {
          continue;
        }
        Decoder changed = base;
        Place(unit, decoder(form), changed);
        // A changed embedding changes the streams themselves, so they cannot be reused.
        const ParentFit fit = tensor.slot == models::Slot::kTokens
                                  ? FitToParent(changed, parent_)
                                  : FitToParentFrom(changed, layer, streams, parent_);
        unit.loss.push_back(fit.divergence - divergence);
        if (!on_step_()) {
          return absl::CancelledError("stopped while measuring the importance of matrices");
        }
      }
      // Units of later layers see this layer in the base model's form.
      for (at::Tensor& stream : streams) {
        stream = layer == layers ? stream : ThroughLayer(base, layer, stream);
      }
    }
    return absl::OkStatus();
  }

  // Chooses the forms with the largest sum of importance within the bytes: a knapsack with one
  // choice per unit, exact except that bytes are counted in parts of the budget. Rounding bytes up
  // always keeps the budget, but excludes a choice that fills the budget to the last byte.
  // Therefore bytes are first rounded down, and that choice is taken if its exact bytes keep the
  // budget.
  void UseBudget(int64_t budget) {
    const int64_t spare = std::max<int64_t>(0, budget - BytesOfForm(0));
    // Counting in parts bounds the size of the knapsack's table for models of any size.
    const int64_t part = spare / kBudgetParts + 1;
    FillKnapsack(spare / part, [&](int64_t more) { return more / part; });
    // Rounded-down bytes can overrun the budget; rounding up cannot.
    if (BytesOfChoice() > budget) {
      FillKnapsack(spare / part, [&](int64_t more) { return (more + part - 1) / part; });
    }
  }

  [[nodiscard]] int64_t BytesOfChoice() const {
    int64_t bytes = 0;
    for (const Unit& unit : units_) {
      bytes += unit.stored_bytes[unit.form];
    }
    return bytes;
  }

  // parts_of(bytes in addition to the first form's): number of parts of the budget.
  void FillKnapsack(int64_t budget_parts, absl::FunctionRef<int64_t(int64_t)> parts_of) {
    const auto parts = static_cast<size_t>(budget_parts);
    const auto cost_of = [&](const Unit& unit, size_t form) {
      return static_cast<size_t>(parts_of(unit.stored_bytes[form] - unit.stored_bytes[0]));
    };
    std::vector<double> best(parts + 1, 0.0);  // by number of parts available
    std::vector<std::vector<uint8_t>> chosen;  // by unit, then by parts
    for (const Unit& unit : units_) {
      std::vector<double> with = best;
      std::vector<uint8_t> choice(parts + 1, 0);
      // The first form costs nothing extra, so it is the default of every unit.
      for (size_t form = 1; form < unit.loss.size(); ++form) {
        const size_t cost = cost_of(unit, form);
        for (size_t spent = cost; spent <= parts; ++spent) {
          const double value = best[spent - cost] + unit.importance(form);
          if (value > with[spent]) {
            with[spent] = value;
            choice[spent] = static_cast<uint8_t>(form);
          }
        }
      }
      best = std::move(with);
      chosen.push_back(std::move(choice));
    }
    size_t left = parts;
    // Backwards through the table of choices, because the last unit's choice fixes what was left
    // for the others.
    for (size_t i = units_.size(); i-- > 0;) {
      units_[i].form = chosen[i][left];
      left -= cost_of(units_[i], units_[i].form);
    }
  }

  [[nodiscard]] bool MeetsFloor() const {
    return Meets(FitToParent(Mixed(), parent_), limits_.perplexity_change_percent);
  }

  // Finds by bisection the smallest budget between `least` and `most` bytes whose choice meets the
  // floor; false: not even `most` does.
  bool FindBudget(int64_t least, int64_t most) {
    UseBudget(most);
    if (!MeetsFloor()) {
      return false;
    }
    // Quality rises with the budget nearly monotonically, so bisection needs few of the expensive
    // fits.
    for (int trial = 0; trial < kFloorTrials; ++trial) {
      const int64_t middle = least + (most - least) / 2;
      UseBudget(middle);
      (MeetsFloor() ? most : least) = middle;
    }
    // The last trial may have missed the floor; `most` is known to meet it.
    UseBudget(most);
    return true;
  }

  absl::Status MeetFloor() {
    if (MeetsFloor()) {
      return absl::OkStatus();  // int4 everywhere
    }
    if (FindBudget(BytesOfForm(0), BytesOfForm(int8_))) {
      return absl::OkStatus();
    }
    // Loaded only now, because few models need it and FP32 takes several times the memory.
    WATTLE_ASSIGN_OR_RETURN(LoadedModel floats, LoadModel(directory_, {}));
    forms_.push_back({FormatOfBits(32, 0), std::move(floats)});
    for (Unit& unit : units_) {
      unit.stored_bytes.push_back(StoredBytesIn({}, TensorOf(unit)));
    }
    WATTLE_RETURN_IF_ERROR(MeasureLoss(forms_.size() - 1));
    if (FindBudget(BytesOfForm(int8_), BytesOfForm(forms_.size() - 1))) {
      return absl::OkStatus();
    }
    // Where both are near the parent, FP32 may have no importance over int8: then take it
    // everywhere.
    for (Unit& unit : units_) {
      unit.form = forms_.size() - 1;
    }
    return MeetsFloor() ? absl::OkStatus()
                        : absl::FailedPreconditionError(absl::StrCat(
                              "perplexity_change_percent_max: ", limits_.perplexity_change_percent,
                              ": not even FP32 meets it; write a larger number"));
  }

  [[nodiscard]] AdaptiveChoice Describe() const {
    AdaptiveChoice choice;
    std::vector<size_t> uses(forms_.size());
    for (const Unit& unit : units_) {
      uses[unit.form] += TensorOf(unit).layer < 0 ? 0 : 1;
    }
    // The commonest form becomes the default of the recipe, which keeps the list of exceptions
    // short.
    const auto most =
        static_cast<size_t>(std::max_element(uses.begin(), uses.end()) - uses.begin());
    choice.recipe = UniformRecipe(forms_[most].format, decoder(0).config);
    choice.recipe.set_name(kAdaptiveQuantization);
    for (const Unit& unit : units_) {
      const models::ModelTensor& tensor = TensorOf(unit);
      const v1::TensorFormat& format = forms_[unit.form].format;
      if (tensor.layer < 0) {
        *choice.recipe.mutable_head() = format;
      } else if (unit.form != most) {
        v1::TensorException& exception = *choice.recipe.add_exceptions();
        exception.set_tensor(tensor.name);
        *exception.mutable_format() = format;
      }
      choice.matrices.push_back({.tensor = tensor.name,
                                 .format = wattle::FormatName(format),
                                 .stored_bytes = unit.stored_bytes[unit.form],
                                 .importance = unit.importance(int8_)});
      choice.stored_bytes += choice.matrices.back().stored_bytes;
    }
    choice.int4_bytes = BytesOfForm(plain_int4_);
    auto& exceptions = *choice.recipe.mutable_exceptions();
    std::sort(exceptions.begin(), exceptions.end(),
              [](const auto& a, const auto& b) { return a.tensor() < b.tensor(); });
    const ParentFit fit = FitToParent(Mixed(), parent_);
    choice.divergence = fit.divergence;
    choice.perplexity_change_percent = fit.perplexity_change_percent();
    return choice;
  }

  const std::string& directory_;
  AdaptiveLimits limits_;
  const std::function<bool()>& on_step_;
  CalibrationText calibration_;
  ParentPass parent_;
  std::vector<Form> forms_;  // from the fewest bytes to the most
  size_t plain_int4_ = 0;    // the form to which default budgets are relative
  size_t int8_ = 0;
  std::vector<Unit> units_;
};

}  // namespace

int64_t StepsOfSearch(const models::DecoderConfig& config) {
  // Each form is quantized, and each but the first is measured.
  const auto forms = static_cast<int64_t>(GroupSizesFor(config).size() + 1);
  return (2 * forms - 1) * QuantizableWeightsOf(config).matrices;
}

absl::StatusOr<AdaptiveChoice> ChooseAdaptively(const std::string& directory,
                                                const CalibrationText& text,
                                                const AdaptiveLimits& limits,
                                                const std::function<bool()>& on_step) {
  return Search(directory, text, limits, on_step).Run();
}

}  // namespace wattle::engine
